package smtp

import (
	"context"
	"fmt"
)

// MailHosts returns the names of the hosts that take a domain's mail, in the order
// in which they are tried, and connects to none. A queue tells by them which
// domains share a provider. Its errors are those of [Direct.Plan].
func (d *Direct) MailHosts(ctx context.Context, domain string) ([]string, error) {
	ascii, fault := parseDomain(domain)
	if fault != "" {
		return nil, &Error{Phase: PhaseMessage, Host: domain, Err: fmt.Errorf("%w: %s", ErrBadAddress, fault), Class: ErrPermanent}
	}
	if ascii[0] == '[' {
		return []string{ascii}, nil
	}
	r, err := findRoute(ctx, d.resolver, ascii, d.localName)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(r.hosts))
	for i, mx := range r.hosts {
		names[i] = mx.Host
	}
	return names, nil
}
