package bounce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Rule is one line of the table by which replies are told apart. A reply meets it
// if it meets all conditions that are set; the first rule that it meets decides.
type Rule struct {
	// Name is what [Classification.Rule] shows. It must be unique among the rules
	// of the host.
	Name   string `json:"name"`
	Reason Reason `json:"reason"`

	// Text is phrases of which one must occur. A phrase is whole words; case,
	// accents, punctuation and line ends do not count. Passed over are numbers,
	// addresses, and words that say little, such as "is" and "the"; forms of a
	// word, such as "reject" and "rejected", are the same. "(a|b)" is either,
	// "(a|)" an optional word; "{user}" is any word for a mailbox; "a & b" asks for
	// both parts, in any order.
	Text []string `json:"text,omitempty"`
	// Unless is phrases of which none may occur.
	Unless []string `json:"unless,omitempty"`

	// Code is the reply code or how it begins: "550", "45", "5".
	Code string `json:"code,omitempty"`
	// Status is the enhanced status code, with x for any number, and a range as
	// its last number if need be: "5.7.1", "x.2.2", "5.7.606-649", "5.7.x".
	Status string `json:"status,omitempty"`
	// Commands is what the reply must answer.
	Commands []Command `json:"commands,omitempty"`
	// Provider is whose server must have answered, such as "gmail". It is told
	// by the MX, or by the wording of the reply.
	Provider string `json:"provider,omitempty"`
	// MX is how the name of the server must end: "mx.example.com" also means
	// "a.mx.example.com".
	MX string `json:"mx,omitempty"`

	// Verdict and Action override what follows from Reason.
	Verdict Verdict `json:"verdict,omitzero"`
	Action  Action  `json:"action,omitzero"`

	// tag says that Text names the provider by itself, so that its server need
	// not be known.
	tag bool
	// wordless says that the reply must have no text.
	wordless bool
}

// RulesOptions tunes [NewRules].
type RulesOptions struct {
	// Rules are the host's own. They win over those of this package, and the
	// first of them over the others.
	Rules []Rule
	// Alone leaves the rules of this package out.
	Alone bool
}

// Rules is a compiled set of rules. It is immutable, and safe for concurrent use.
type Rules struct {
	matcher   *matcher
	slots     int
	rules     []rule  // the last knows nothing
	ways      [][]way // a slot: the rules that its phrases lead to
	byStatus  map[[2]uint16][]uint16
	bare      []uint16 // rules that have neither text nor exact status
	providers []string // number 0 is none
	suffixes  table    // the hash of a suffix of an MX: its provider
	marks     []mark
}

// rule is a compiled Rule.
type rule struct {
	Rule
	confidence Confidence
	host       bool
	provider   uint8
	code       [2]int // from, to
	status     statusRange
	commands   uint16 // bit by bit; 0 is any
	unless     uint16 // the slot; 0 is none
}

// way is one way to meet a rule by text: its slot and those of and.
type way struct {
	rule uint16
	and  []uint16
}

// mark is a slot whose phrases give a provider away.
type mark struct {
	slot     uint16
	provider uint8
}

// statusRange is a condition on enhanced status codes.
type statusRange struct {
	class, subject int // -1 is any
	low, high      int // of the detail
}

// examined is a reply with what was found in it.
type examined struct {
	Reply
	in       *found
	provider uint8
}

// first is the first rule that a reply meets; the last of all if it meets none.
func (rs *Rules) first(x examined) *rule {
	best := uint16(len(rs.rules) - 1)
	for slot := range x.in.all(rs.slots) {
		for _, w := range rs.ways[slot] {
			if w.rule < best && x.hasAll(w.and) && rs.meets(x, w.rule) {
				best = w.rule
			}
		}
	}
	for _, list := range [...][]uint16{rs.byStatus[[2]uint16(x.Status[1:])], rs.bare} {
		for _, i := range list {
			if i >= best {
				break
			}
			if rs.meets(x, i) {
				best = i
			}
		}
	}
	return &rs.rules[best]
}

func (x examined) hasAll(slots []uint16) bool {
	for _, s := range slots {
		if !x.in.has(s) {
			return false
		}
	}
	return true
}

// meets reports whether a reply meets the conditions of rule i other than its text.
func (rs *Rules) meets(x examined, i uint16) bool {
	r := &rs.rules[i]
	switch {
	case x.Code < r.code[0] || x.Code > r.code[1]:
		return false
	case !r.status.has(x.Status):
		return false
	case r.provider != 0 && r.provider != x.provider && !r.tag:
		return false
	case r.commands != 0 && r.commands&(1<<x.Command) == 0:
		return false
	case r.wordless && strings.TrimSpace(x.Text) != "":
		return false
	case r.unless != 0 && x.in.has(r.unless):
		return false
	case r.MX != "" && !underDomain(x.MX, r.MX):
		return false
	}
	if r.host || !r.Reason.aboutRecipient() {
		return true
	}
	// The reply to DATA is about all recipients, so it must be plain.
	return !x.aboutSender() && (x.Command != Data || r.confidence >= ByPhrase)
}

// aboutSender reports whether a server answered before it heard of the recipient,
// or by a code of authentication (RFC 4954, section 6). What it says then is about
// the sender, whatever the words.
func (x examined) aboutSender() bool {
	return x.Code/10 == 53 || x.Code != 0 && Connect <= x.Command && x.Command <= Mail
}

func underDomain(host, domain string) bool {
	host = strings.TrimSuffix(host, ".")
	n := len(host) - len(domain)
	return n >= 0 && strings.EqualFold(host[n:], domain) && (n == 0 || host[n-1] == '.')
}

func (s statusRange) has(status Status) bool {
	if s.class >= 0 && int(status[0]) != s.class || s.subject >= 0 && int(status[1]) != s.subject {
		return false
	}
	return s.low <= int(status[2]) && int(status[2]) <= s.high
}

// provider is whose server answered, by its name, or else by how it speaks.
func (rs *Rules) provider(mx string, in *found) uint8 {
	h := uint64(fnvOffset)
	mx = strings.TrimSuffix(mx, ".")
	var p uint32
	for i := len(mx) - 1; i >= 0; i-- {
		h = (h ^ uint64(folded[mx[i]])) * fnvPrime
		if i == 0 || mx[i-1] == '.' {
			if q := rs.suffixes.find(h); q != 0 {
				p = q // the longest suffix wins
			}
		}
	}
	if p != 0 {
		return uint8(p)
	}
	for _, m := range rs.marks {
		if in.has(m.slot) {
			return m.provider
		}
	}
	return 0
}

// Explain says which rules a reply meets, and why: the first is the one that
// Classify obeys, the others are those that it overrides.
func (rs *Rules) Explain(r Reply) []Match {
	var in found
	r.Text = limit(r.Text)
	rs.matcher.scan(r.Text, &in)
	x := examined{r, &in, rs.provider(r.MX, &in)}
	met := map[uint16][]string{}
	for slot := range in.all(rs.slots) {
		for _, w := range rs.ways[slot] {
			if x.hasAll(w.and) && rs.meets(x, w.rule) {
				for _, s := range append([]uint16{slot}, w.and...) {
					met[w.rule] = append(met[w.rule], rs.matcher.excerpts(r.Text, s)...)
				}
			}
		}
	}
	for _, i := range slices.Concat(rs.byStatus[[2]uint16(r.Status[1:])], rs.bare) {
		if rs.meets(x, i) {
			met[i] = nil
		}
	}
	var matches []Match
	for i := range rs.rules[:len(rs.rules)-1] {
		if found, ok := met[uint16(i)]; ok {
			matches = append(matches, Match{rs.rules[i].Rule.clone(), rs.rules[i].confidence, found})
		}
	}
	return matches
}

// clone keeps the table from those who are shown a rule.
func (r Rule) clone() Rule {
	r.Text, r.Unless, r.Commands = slices.Clone(r.Text), slices.Clone(r.Unless), slices.Clone(r.Commands)
	return r
}

// String says it in words: "gmail-no-such-user says bad-mailbox (by tag): "p=NoSuchUser"".
func (m Match) String() string {
	s := fmt.Sprintf("%s says %s (by %s)", m.Rule.Name, m.Rule.Reason, m.Confidence)
	for i, f := range m.Found {
		s += [...]string{": ", ", "}[min(i, 1)] + strconv.Quote(f)
	}
	return s
}

// ReadRules reads rules in JSON: an array of objects whose fields are those of
// [Rule] in lower case.
//
//	[{"name": "partner-full", "reason": "mailbox-full", "text": ["buzón lleno"], "mx": "mx.example.com"}]
func ReadRules(r io.Reader) ([]Rule, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var raw []json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("bounce: rules: %w", err)
	}
	rules := make([]Rule, len(raw))
	var errs []error
	for i, m := range raw {
		if err := decodeRule(m, &rules[i]); err != nil {
			errs = append(errs, fmt.Errorf("bounce: rule %d (%q): %w", i+1, rules[i].Name, err))
		}
	}
	return rules, errors.Join(errs...)
}

func decodeRule(m json.RawMessage, r *Rule) error {
	d := json.NewDecoder(strings.NewReader(string(m)))
	d.DisallowUnknownFields()
	return d.Decode(r)
}
