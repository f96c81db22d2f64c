package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limit bounds what is sent to one destination. Zero fields do not limit.
type Limit struct {
	// Connections is the number of attempts under way at once, those of all workers
	// that share the store (see [Roster]). A transport uses at most one connection for
	// each. Where mail goes straight to the destinations'
	// servers, each worker begins with 2, and every success allows one more.
	Connections int
	// MessagesPerConnection bounds the messages that one connection carries.
	MessagesPerConnection int
	// PerSecond, PerHour and PerDay bound the messages in every span of that
	// length, wherever it begins, and also those of all workers. Hours and days hold
	// across restarts, where the store counts them (see [Meter]).
	PerSecond, PerHour, PerDay int
}

// Provider is a destination that many domains share: its limits hold for all of
// them together.
type Provider struct {
	// Name is for logs and [Queue.Lanes], such as "gmail".
	Name string
	// Domains lists recipients' domains, and MX suffixes of mail hosts, such as
	// ".google.com". A lane belongs to the first provider that either matches. Domains
	// may have U-labels.
	Domains, MX []string
	Limit
	// Warmup, if not empty, bounds the messages of each day from WarmupStart on:
	// its first element is the first day's. After its last day PerDay alone holds.
	Warmup      []int
	WarmupStart time.Time
}

// Shaping says how fast mail may leave.
type Shaping struct {
	// Total holds for all mail together: the quota of a relay, say.
	Total Limit
	// Lane holds for each domain that belongs to no provider. A zero Connections
	// means 10.
	Lane Limit
	// Providers nil means those of [Providers] for a transport with a method
	// MailHosts, and none for others: a relay shapes by itself. Empty and not nil
	// means none.
	Providers []Provider
	// MX looks the mail hosts of a domain up, so that a domain that is hosted by a
	// provider counts as that provider's. Nil asks the transport, if that has a
	// method MailHosts, as [smtp.Direct] has, and else goes by Domains only. It is
	// called once in an hour for each lane that has mail. A new lane waits for the
	// answer, 10 seconds at most; no other does.
	MX func(ctx context.Context, domain string) ([]string, error)
}

// Providers returns defaults for the large mailbox providers: what a sender
// without a history gets through without being told to slow down. They publish
// few figures; raise them as your reputation allows.
func Providers() []Provider {
	return []Provider{
		{Name: "gmail", Domains: []string{"gmail.com", "googlemail.com"}, MX: []string{".google.com", ".googlemail.com"}, Limit: Limit{Connections: 10, PerSecond: 20}},
		{Name: "outlook", Domains: []string{"outlook.com", "hotmail.com", "live.com", "msn.com"}, MX: []string{".olc.protection.outlook.com"}, Limit: Limit{Connections: 5, PerSecond: 10}},
		{Name: "exchange-online", MX: []string{".protection.outlook.com", ".mx.microsoft"}, Limit: Limit{Connections: 10, PerSecond: 20}},
		{Name: "yahoo", Domains: []string{"yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "aim.com"}, MX: []string{".yahoodns.net"}, Limit: Limit{Connections: 5, PerSecond: 10}},
		{Name: "icloud", Domains: []string{"icloud.com", "me.com", "mac.com"}, MX: []string{".mail.icloud.com"}, Limit: Limit{Connections: 5, PerSecond: 5}},
		{Name: "gmx", Domains: []string{"gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.com"}, MX: []string{".gmx.net", ".web.de"}, Limit: Limit{Connections: 3, PerSecond: 3}},
		{Name: "t-online", Domains: []string{"t-online.de", "magenta.de"}, MX: []string{".t-online.de"}, Limit: Limit{Connections: 3, PerSecond: 3}},
		{Name: "orange", Domains: []string{"orange.fr", "wanadoo.fr"}, MX: []string{".orange.fr", ".wanadoo.fr"}, Limit: Limit{Connections: 2, PerSecond: 2}},
		{Name: "mimecast", MX: []string{".mimecast.com"}, Limit: Limit{Connections: 5, PerSecond: 5}},
		{Name: "proofpoint", MX: []string{".pphosted.com", ".ppe-hosted.com"}, Limit: Limit{Connections: 5, PerSecond: 5}},
	}
}

func (s *Shaping) validate() error {
	errs := []error{s.Total.validate("Shaping.Total"), s.Lane.validate("Shaping.Lane")}
	seen := map[string]bool{}
	for i, p := range s.Providers {
		at := fmt.Sprintf("Shaping.Providers[%d] %q", i, p.Name)
		errs = append(errs, p.Limit.validate(at))
		if p.Name == "" || p.Name == total || seen[p.Name] {
			errs = append(errs, fmt.Errorf("queue: %s: a provider needs a name of its own, other than %q", at, total))
		}
		seen[p.Name] = true
		if len(p.Domains)+len(p.MX) == 0 {
			errs = append(errs, fmt.Errorf("queue: %s: Domains and MX are both empty, so no lane would match", at))
		}
		for _, d := range p.Domains {
			if _, err := laneOf(d); err != nil {
				errs = append(errs, fmt.Errorf("queue: %s: domain %q: %w", at, d, err))
			}
		}
		for day, n := range p.Warmup {
			if n <= 0 {
				errs = append(errs, fmt.Errorf("queue: %s: Warmup[%d] is %d; it must be positive", at, day, n))
			}
		}
		if len(p.Warmup) > 0 && p.WarmupStart.IsZero() {
			errs = append(errs, fmt.Errorf("queue: %s: Warmup needs a WarmupStart", at))
		}
	}
	return errors.Join(errs...)
}

func (l Limit) validate(at string) error {
	for _, f := range []struct {
		name  string
		value int
	}{{"Connections", l.Connections}, {"MessagesPerConnection", l.MessagesPerConnection}, {"PerSecond", l.PerSecond}, {"PerHour", l.PerHour}, {"PerDay", l.PerDay}} {
		if f.value < 0 {
			return fmt.Errorf("queue: %s.%s is %d; it must not be negative", at, f.name, f.value)
		}
	}
	return nil
}

// asLanes returns the providers with their domains as lanes are written.
func asLanes(providers []Provider) []Provider {
	out := slices.Clone(providers)
	for i := range out {
		p := &out[i]
		p.Domains = slices.Clone(p.Domains)
		for j, d := range p.Domains {
			p.Domains[j], _ = laneOf(d) // validate has seen to errors
		}
	}
	return out
}

// provider returns the first provider that has the lane, or one of its mail hosts,
// or nil.
func (s *Shaping) provider(lane string, hosts []string) *Provider {
	for i := range s.Providers {
		p := &s.Providers[i]
		if slices.Contains(p.Domains, lane) {
			return p
		}
		for _, suffix := range p.MX {
			for _, host := range hosts {
				if hasSuffixFold(strings.TrimSuffix(host, "."), suffix) {
					return p
				}
			}
		}
	}
	return nil
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// day is the limit of the day that now falls in, given the warm-up; 0 is none.
func (p *Provider) day(now time.Time) int {
	if len(p.Warmup) == 0 || now.Before(p.WarmupStart) {
		return p.PerDay
	}
	day := int(now.Sub(p.WarmupStart) / (24 * time.Hour))
	if day >= len(p.Warmup) {
		return p.PerDay
	}
	if p.PerDay == 0 {
		return p.Warmup[day]
	}
	return min(p.Warmup[day], p.PerDay)
}
