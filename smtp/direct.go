package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Direct finds the mail hosts of each recipient's domain and the TLS policy that
// holds for them: DANE (RFC 7672), MTA-STS (RFC 8461), or TLS where it is offered.
//
// A Direct is safe for concurrent use.
type Direct struct {
	localName string
	resolver  Resolver
	sts       *stsFinder
	dial      dialFunc
	allowAddr func(netip.Addr) bool
}

// DirectOptions tunes a [Direct]. The zero value is ready for use.
type DirectOptions struct {
	// Resolver finds hosts and policies. Nil means what [NewResolver] makes
	// without options. DANE needs one that validates DNSSEC.
	Resolver Resolver
	// TLSConfig is the basis for TLS with mail hosts and with the servers of
	// MTA-STS policies: authorities, versions, client certificates. Server names
	// and verification are set for each connection. Nil is the zero tls.Config.
	TLSConfig *tls.Config
	// STSStore keeps MTA-STS policies. Nil keeps them in memory.
	STSStore STSStore
	// AllowAddr says which addresses may be connected to, for mail as for
	// MTA-STS policies. Nil means unicast addresses of the public Internet that
	// are not this host's own: anyone can publish an MX record that points into
	// your network.
	AllowAddr func(netip.Addr) bool
	// Dialer makes the connections, to addresses that AllowAddr lets pass. Nil is
	// a net.Dialer.
	Dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	}
}

// NewDirect returns a Direct that names itself localName, which should be the
// fully qualified name that the sending address's PTR record gives. Nil options
// are the zero options.
func NewDirect(localName string, opts *DirectOptions) (*Direct, error) {
	var o DirectOptions
	if opts != nil {
		o = *opts
	}
	name, fault := parseDomain(localName)
	var nameErr, resolverErr error
	if fault != "" {
		nameErr = fmt.Errorf("smtp: local name %q: %s", localName, fault)
	}
	if o.Resolver == nil {
		o.Resolver, resolverErr = NewResolver(nil)
	}
	if err := errors.Join(nameErr, resolverErr); err != nil {
		return nil, err
	}
	if o.STSStore == nil {
		o.STSStore = newMemorySTS()
	}
	if o.TLSConfig == nil {
		o.TLSConfig = new(tls.Config)
	}
	d := &Direct{localName: name, resolver: o.Resolver, allowAddr: o.AllowAddr}
	if d.allowAddr == nil {
		d.allowAddr = mayDial
	}
	if o.Dialer == nil {
		o.Dialer = guardedDialer(d.mayDial)
	}
	d.dial = o.Dialer.DialContext
	d.sts = newSTSFinder(d.resolver, o.STSStore, o.TLSConfig.Clone(), d.dialWeb)
	return d, nil
}

func (d *Direct) mayDial(a netip.Addr) bool { return a.IsValid() && d.allowAddr(a.Unmap()) }
