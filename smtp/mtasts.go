package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// STSMode says what to do where a host does not meet an MTA-STS policy.
type STSMode string

// The modes of RFC 8461, section 3.2.
const (
	STSEnforce STSMode = "enforce" // do not deliver
	STSTesting STSMode = "testing" // deliver, and report
	STSNone    STSMode = "none"    // there is no policy any more
)

// STSPolicy is the MTA-STS policy of a domain (RFC 8461).
type STSPolicy struct {
	// ID is the name of this version of the policy, from the DNS.
	ID   string
	Mode STSMode
	// MX are the patterns that mail hosts must match, in lower case.
	MX     []string
	MaxAge time.Duration
	// Fetched is when the policy was last read from its server.
	Fetched time.Time
}

// Match reports whether the policy allows a mail host.
func (p *STSPolicy) Match(host string) bool {
	host = hostName(host)
	_, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		// A wildcard stands for one label (RFC 8461, section 4.1).
		suffix, wild := strings.CutPrefix(pattern, "*.")
		if !wild && pattern == host || wild && suffix == parent && parent != "" {
			return true
		}
	}
	return false
}

// lines is the policy as its server gives it.
func (p *STSPolicy) lines() []string {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, mx := range p.MX {
		lines = append(lines, "mx: "+mx)
	}
	return append(lines, fmt.Sprintf("max_age: %d", p.MaxAge/time.Second))
}

func (p *STSPolicy) expired(now time.Time) bool { return now.After(p.Fetched.Add(p.MaxAge)) }

// The limits of what is taken from a policy server.
const (
	maxSTSPolicy = 64 << 10 // octets (RFC 8461, section 3.3)
	maxSTSAge    = 31557600 // seconds: a year (RFC 8461, section 3.2)
	maxSTSID     = 32       // characters (RFC 8461, section 3.1)
)

// parseSTSPolicy reads a policy (RFC 8461, section 3.2).
func parseSTSPolicy(text []byte) (*STSPolicy, error) {
	if len(text) > maxSTSPolicy {
		return nil, fmt.Errorf("policy longer than %d octets", maxSTSPolicy)
	}
	fields := make(map[string]string)
	p := new(STSPolicy)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxSTSPolicy+1)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fmt.Errorf("policy line %.80q is not of the form \"key: value\"", line)
		}
		if key == "mx" {
			pattern := strings.ToLower(value)
			if fault := checkHost(strings.TrimPrefix(pattern, "*.")); fault != "" {
				return nil, fmt.Errorf("policy mx %.80q: %s", value, fault)
			}
			p.MX = append(p.MX, pattern)
		} else if _, again := fields[key]; !again { // of keys given twice the first counts
			fields[key] = value
		}
	}
	return p, p.setFields(fields)
}

func (p *STSPolicy) setFields(fields map[string]string) error {
	if fields["version"] != "STSv1" {
		return fmt.Errorf("policy version is %.80q, not STSv1", fields["version"])
	}
	p.Mode = STSMode(fields["mode"])
	if p.Mode != STSEnforce && p.Mode != STSTesting && p.Mode != STSNone {
		return fmt.Errorf("policy mode is %.80q, not enforce, testing or none", p.Mode)
	}
	age, err := strconv.ParseUint(fields["max_age"], 10, 32)
	if err != nil || len(fields["max_age"]) > 10 {
		return fmt.Errorf("policy max_age is %.80q, not a number of seconds", fields["max_age"])
	}
	p.MaxAge = time.Duration(min(age, maxSTSAge)) * time.Second
	if len(p.MX) == 0 && p.Mode != STSNone {
		return errors.New("policy names no mx")
	}
	return nil
}

// parseSTSRecord gives the id in the TXT records at _mta-sts; ok is false where
// they announce no policy (RFC 8461, section 3.1).
func parseSTSRecord(txts []string) (id string, ok bool) {
	found := 0
	for _, txt := range txts {
		version, rest, _ := strings.Cut(txt, ";")
		if strings.TrimRight(version, " \t") != "v=STSv1" {
			continue
		}
		found++
		id = stsID(rest)
	}
	return id, found == 1 && id != ""
}

func stsID(fields string) string {
	for field := range strings.SplitSeq(fields, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if key == "id" && value != "" && len(value) <= maxSTSID && isAlphanumeric(value) {
			return value
		}
	}
	return ""
}

func isAlphanumeric(s string) bool {
	for _, c := range []byte(s) {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// STSStore keeps MTA-STS policies. One that survives a restart makes the policies
// do so: whoever can hide a policy from a sender that forgot it can take the mail.
//
// An implementation is safe for concurrent use.
type STSStore interface {
	// LoadSTS returns the policy saved last for a domain, in ASCII; ok is false
	// where there is none.
	LoadSTS(ctx context.Context, domain string) (p STSPolicy, ok bool, err error)
	// SaveSTS keeps p as the policy of a domain, at least for its MaxAge.
	SaveSTS(ctx context.Context, domain string, p STSPolicy) error
}

// memorySTS is the store of a [Direct] that was given none.
type memorySTS struct {
	mu       sync.Mutex // guards policies
	policies map[string]STSPolicy
}

// maxSTSPolicies bounds how many policies are kept in memory.
const maxSTSPolicies = 10_000

func newMemorySTS() *memorySTS { return &memorySTS{policies: make(map[string]STSPolicy)} }

func (m *memorySTS) LoadSTS(_ context.Context, domain string) (STSPolicy, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[domain]
	return p, ok, nil
}

func (m *memorySTS) SaveSTS(_ context.Context, domain string, p STSPolicy) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.policies[domain]; !ok && len(m.policies) >= maxSTSPolicies {
		for other := range m.policies {
			delete(m.policies, other)
			break
		}
	}
	m.policies[domain] = p
	return nil
}
