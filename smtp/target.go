package smtp

import (
	"context"
	"crypto/tls"
	"net"
)

// Dialer makes connections. [net.Dialer] is one, and so is a SOCKS5 dialer of
// golang.org/x/net/proxy.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// security says how a connection is protected.
type security uint8

const (
	plaintext security = iota
	startTLSOpportunistic
	startTLSRequired
	implicitTLS
)

var securityNames = [...]string{"plaintext", "opportunistic STARTTLS", "STARTTLS", "implicit TLS"}

func (s security) String() string { return securityNames[s] }

// target is where to connect, and how. Two targets with the same key share
// connections; everything else that they hold must follow from the key.
type target struct {
	targetKey

	dialer   Dialer
	tls      *tls.Config // nil for defaults; never changed
	auth     Auth        // nil for none
	clear    clearAuth
	timeouts Timeouts // with defaults

	// verify replaces the check of the certificate against host, as DANE does. It
	// is not called for startTLSOpportunistic.
	verify func(tls.ConnectionState) error
	// tlsBroke, if set, is called when opportunistic TLS failed.
	tlsBroke func()
}

// targetKey is what a connection is pooled by.
type targetKey struct {
	network, addr string // what is dialled
	host          string // the server's name, for its certificate and for reports
	localName     string // for EHLO; empty is the address literal of the local address
	security      security
	lmtp          lmtpMode
	policy        string // what asked for the security, for [Session.Policy]

	// identity, source and tlsID tell targets apart that authenticate as another
	// user, leave from another address or through a proxy, or verify otherwise.
	identity, source, tlsID string
}

type lmtpMode bool

const (
	speakSMTP lmtpMode = false
	speakLMTP lmtpMode = true
)

type clearAuth bool

const (
	refuseClearAuth clearAuth = false
	allowClearAuth  clearAuth = true
)

// requiringTLS is t for a message that asks every hop for verified TLS.
func (t *target) requiringTLS() *target {
	if t.security >= startTLSRequired {
		return t
	}
	strict := *t
	strict.security, strict.policy = startTLSRequired, "required"
	return &strict
}
