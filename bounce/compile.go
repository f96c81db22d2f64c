package bounce

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// NewRules compiles the rules of the host, and behind them those of this package.
// It reports every fault that it finds, by the name of the rule.
func NewRules(opts *RulesOptions) (*Rules, error) {
	if opts == nil {
		opts = &RulesOptions{}
	}
	room := len(opts.Rules)
	if !opts.Alone {
		room += 1 << 16
	}
	c := compiler{
		Rules:   &Rules{byStatus: map[[2]uint16][]uint16{}, providers: []string{""}, ways: make([][]way, 1)},
		phrases: newPhrases(room),
		slots:   map[string]uint16{},
		names:   map[string]struct{}{},
	}
	c.addProviders()
	for _, r := range opts.Rules {
		c.add(r, true)
	}
	if !opts.Alone {
		c.addTable()
	}
	return c.finish()
}

// addTable adds the rules of this package. Hosts need not know their names.
func (c *compiler) addTable() {
	clear(c.names)
	for _, section := range sections() {
		for _, r := range section.rules {
			r.Provider = section.provider
			c.add(r, false)
		}
	}
}

func (c *compiler) finish() (*Rules, error) {
	c.rules = append(c.rules, rule{})
	c.Rules.slots = len(c.ways)
	if c.Rules.slots > maxSlots || len(c.rules) > math.MaxUint16 || !c.phrases.fit() {
		c.errs = append(c.errs, fmt.Errorf("bounce: %d rules with so many phrases are too many", len(c.rules)))
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	c.matcher = c.phrases.matcher()
	return c.Rules, nil
}

// compiler builds Rules.
type compiler struct {
	*Rules
	phrases *phrases
	slots   map[string]uint16 // a phrase: its slot
	names   map[string]struct{}
	current string // the name of the rule that is added
	errs    []error
}

func (c *compiler) addProviders() {
	c.suffixes = newTable(countSuffixes())
	for i, p := range providers {
		n := uint8(i + 1)
		c.providers = append(c.providers, p.name)
		for _, suffix := range p.mx {
			h := uint64(fnvOffset)
			for j := len(suffix) - 1; j >= 0; j-- {
				h = (h ^ uint64(folded[suffix[j]])) * fnvPrime
			}
			c.suffixes.set(h, uint32(n))
		}
		if len(p.marks) > 0 {
			slot := c.slot("mark of "+p.name, p.marks)
			c.marks = append(c.marks, mark{slot, n})
		}
	}
}

func countSuffixes() (n int) {
	for _, p := range providers {
		n += len(p.mx)
	}
	return n
}

// add compiles one rule.
func (c *compiler) add(r Rule, host bool) {
	c.current = r.Name
	compiled, err := c.compile(r, host)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("bounce: rule %q: %w", r.Name, err))
		return
	}
	i := uint16(len(c.rules))
	c.rules = append(c.rules, compiled)
	c.names[r.Name] = struct{}{}
	switch {
	case len(r.Text) > 0:
		c.addText(r, i)
	case compiled.status.exact():
		c.addStatus(compiled.status, i)
	default:
		c.bare = append(c.bare, i)
	}
}

// exact reports whether a condition is on some numbers alone.
func (s statusRange) exact() bool { return s.subject >= 0 && s.high < math.MaxInt }

func (c *compiler) addStatus(s statusRange, i uint16) {
	for detail := s.low; detail <= s.high; detail++ {
		key := [2]uint16{uint16(s.subject), uint16(detail)}
		c.byStatus[key] = append(c.byStatus[key], i)
	}
}

func (c *compiler) compile(r Rule, host bool) (out rule, err error) {
	out = rule{Rule: r, host: host, confidence: r.confidence(host)}
	if _, twice := c.names[r.Name]; twice || r.Name == "" {
		return out, errors.New("name is missing or used twice")
	}
	if r.Reason == Undetermined && r.Verdict == Unknown && r.Action == NoAction {
		return out, errors.New("reason is missing")
	}
	if r.conditions() == 0 {
		return out, errors.New("has no condition: set text, code, status, commands, provider or mx")
	}
	if int(r.Reason) >= reasons {
		return out, fmt.Errorf("unknown %s", r.Reason)
	}
	for _, p := range slices.Concat(r.Text, r.Unless) {
		if err := checkPhrase(p); err != nil {
			return out, err
		}
	}
	if out.code, err = parseCodes(r.Code); err != nil {
		return out, err
	}
	if out.status, err = parseStatusRange(r.Status); err != nil {
		return out, err
	}
	provider := slices.Index(c.providers, r.Provider)
	if provider < 0 {
		return out, fmt.Errorf("unknown provider %q; set mx instead", r.Provider)
	}
	out.provider = uint8(provider)
	for _, command := range r.Commands {
		out.commands |= 1 << command
	}
	if len(r.Unless) > 0 {
		out.unless = c.slot(strings.Join(r.Unless, "\n"), r.Unless)
	}
	return out, nil
}

func (r *Rule) confidence(host bool) Confidence {
	switch {
	case host || r.tag:
		return ByTag
	case len(r.Text) > 0:
		return ByPhrase
	case r.Status != "":
		return ByStatus
	}
	return ByCode
}

// conditions counts those that can tell replies apart.
func (r *Rule) conditions() (n int) {
	for _, s := range []string{r.Code, r.Status, r.Provider, r.MX} {
		if s != "" {
			n++
		}
	}
	return n + len(r.Text) + len(r.Commands)
}

// addText makes the phrases of a rule lead to it. Those of one part share a slot.
func (c *compiler) addText(r Rule, i uint16) {
	var single []string
	for _, phrase := range r.Text {
		parts := strings.Split(phrase, "&")
		if len(parts) == 1 {
			single = append(single, phrase)
			continue
		}
		w := way{rule: i}
		for _, part := range parts[1:] {
			w.and = append(w.and, c.slot(part, []string{part}))
		}
		slot := c.slot(parts[0], parts[:1])
		c.ways[slot] = append(c.ways[slot], w)
	}
	if len(single) > 0 {
		slot := c.slot(strings.Join(single, "\n"), single)
		c.ways[slot] = append(c.ways[slot], way{rule: i})
	}
}

// slot is where the matcher reports that it found one of the phrases.
func (c *compiler) slot(key string, phrases []string) uint16 {
	if slot, ok := c.slots[key]; ok {
		return slot
	}
	slot := uint16(len(c.ways))
	c.ways = append(c.ways, nil)
	c.slots[key] = slot
	for _, p := range phrases {
		if err := c.phrases.add(groups(p), slot); err != nil {
			c.errs = append(c.errs, fmt.Errorf("bounce: rule %q: phrase %q: %w", c.current, strings.TrimSpace(p), err))
		}
	}
	return slot
}

// groups takes a phrase apart: the words that can stand at each place.
func groups(phrase string) (all [][]string) {
	phrase = writeOut(phrase)
	for phrase != "" {
		before, rest, _ := strings.Cut(phrase, "(")
		if strings.TrimSpace(before) != "" {
			all = append(all, []string{before})
		}
		group, after, found := strings.Cut(rest, ")")
		if found {
			all = append(all, strings.Split(group, "|"))
		}
		phrase = after
	}
	return all
}

// writeOut replaces the names of word lists by the words.
func writeOut(phrase string) string {
	if !strings.Contains(phrase, "{") {
		return phrase
	}
	for name, words := range synonyms {
		phrase = strings.ReplaceAll(phrase, "{"+name+"}", "("+words+")")
	}
	return phrase
}

// maxAlternatives bounds what one phrase may stand for.
const maxAlternatives = 1 << 12

func alternatives(phrase string) int {
	n := 1
	for _, group := range groups(phrase) {
		n *= len(group)
	}
	return n
}

func checkPhrase(p string) error {
	if strings.ContainsAny(p, "{}") && !knownSynonyms(p) {
		return fmt.Errorf("phrase %q: unknown word list in braces", p)
	}
	for part := range strings.SplitSeq(p, "&") {
		if !balanced(part) {
			return fmt.Errorf("phrase %q: parentheses do not match, nest, or hold an &", p)
		}
		if n := alternatives(part); n > maxAlternatives {
			return fmt.Errorf("phrase %q has %d alternatives; more than %d are too many", p, n, maxAlternatives)
		}
	}
	return nil
}

// balanced reports whether parentheses match and do not nest.
func balanced(s string) bool {
	open := false
	for _, c := range s {
		if c == '(' && open || c == ')' && !open {
			return false
		}
		open = c == '(' || open && c != ')'
	}
	return !open
}

func knownSynonyms(p string) bool {
	for name := range synonyms {
		p = strings.ReplaceAll(p, "{"+name+"}", "")
	}
	return !strings.ContainsAny(p, "{}")
}

// parseCodes reads "550", "55", "5" or "".
func parseCodes(s string) ([2]int, error) {
	if s == "" {
		return [2]int{0, math.MaxInt}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || len(s) > 3 {
		return [2]int{}, fmt.Errorf("code %q is not one to three digits", s)
	}
	width := 1
	for range 3 - len(s) {
		n, width = n*10, width*10
	}
	return [2]int{n, n + width - 1}, nil
}

// parseStatusRange reads "5.7.1", "x.2.2", "5.7.606-649", "5.7.x" or "".
func parseStatusRange(s string) (out statusRange, err error) {
	out = statusRange{class: -1, subject: -1, high: math.MaxInt}
	if s == "" {
		return out, nil
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return out, fmt.Errorf("status %q is not of the form 5.7.1", s)
	}
	var class, subject, detail [2]int
	for i, to := range []*[2]int{&class, &subject, &detail} {
		if *to, err = parseNumbers(parts[i]); err != nil {
			return out, fmt.Errorf("status %q: %w", s, err)
		}
	}
	if class[0] != class[1] && class[1] != math.MaxInt || subject[0] != subject[1] && subject[1] != math.MaxInt {
		return out, fmt.Errorf("status %q: only the last number can be a range", s)
	}
	out.low, out.high = detail[0], detail[1]
	if class[1] != math.MaxInt {
		out.class = class[0]
	}
	if subject[1] != math.MaxInt {
		out.subject = subject[0]
	}
	return out, nil
}

// parseNumbers reads "7", "606-649" or "x".
func parseNumbers(s string) ([2]int, error) {
	if s == "x" {
		return [2]int{0, math.MaxInt}, nil
	}
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 10, 10)
	b, err2 := strconv.ParseUint(high, 10, 10)
	if err := errors.Join(err1, err2); err != nil {
		return [2]int{}, err
	}
	if a > b {
		return [2]int{}, fmt.Errorf("range %q goes down", s)
	}
	return [2]int{int(a), int(b)}, nil
}
