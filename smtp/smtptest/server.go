// Package smtptest is an SMTP server for tests, as net/http/httptest is for HTTP.
//
// A [Server] listens on a loopback port, on a Unix socket or on nothing but
// in-memory pipes, takes every message and records it. A script of [Rule] values
// makes it behave as real servers do: refuse some recipients, greylist others,
// stall, speak nonsense, or die between storing a message and saying so.
//
//	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{
//		{To: "desconocido*", Reply: "550 5.1.1 El usuario no existe"},
//		{To: "lista-gris*", Times: 1, Reply: "451 4.7.1 Vuelva a intentarlo"},
//		{To: "lleno@*", On: smtptest.End, Reply: "552 5.2.2 Buzón lleno"},
//	}})
//	defer server.Close()
//
// In a bubble of testing/synctest, where hours of delay pass at once, the server
// is also the dialer of its clients:
//
//	server := smtptest.NewServer(&smtptest.Options{Network: "pipe"})
//	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{
//		Dialer:    server,
//		TLSConfig: server.ClientTLS(),
//	})
//
// For code that only calls a [smtp.Transport], a [Recorder] does without a
// server.
package smtptest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gosmtp "github.com/emersion/go-smtp"
)

// TLSMode says how a server offers TLS.
type TLSMode uint8

const (
	// StartTLSOffered offers STARTTLS and does without where it is not used.
	StartTLSOffered TLSMode = iota
	// ImplicitTLS speaks TLS from the first octet (RFC 8314).
	ImplicitTLS
	// NoTLS offers none.
	NoTLS
)

// Options describes a [Server]. The zero value takes everything from anyone, and
// offers STARTTLS and every extension that the server knows.
type Options struct {
	// Rules is the script. Empty lets the server behave.
	Rules []Rule

	// Network is "tcp", on a free loopback port; "unix", on a socket in a
	// temporary directory; or "pipe", reached by [Server.DialContext] alone, which
	// is what testing/synctest needs. Empty means "tcp".
	Network string
	// LMTP makes it an LMTP server (RFC 2033).
	LMTP bool
	// TLS says how TLS is offered.
	TLS TLSMode
	// Hostname is the name in greeting and certificate. Empty means
	// "mx.example.com". The certificate also names localhost, 127.0.0.1 and ::1.
	Hostname string
	// CA issues the certificate. Nil makes an authority of the server's own.
	CA *CA
	// TLSConfig replaces the certificate and all else of the server's TLS.
	TLSConfig *tls.Config

	// Users maps names to passwords, or to the tokens of OAUTHBEARER and XOAUTH2.
	// If there are any, MAIL needs authentication first.
	Users map[string]string
	// Mechanisms are the SASL mechanisms on offer, in that order. Nil means all
	// that the server knows: SCRAM-SHA-256-PLUS (with TLS), SCRAM-SHA-256,
	// SCRAM-SHA-1-PLUS (with TLS), SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN,
	// OAUTHBEARER, XOAUTH2.
	Mechanisms []string
	// PlaintextAuth offers AUTH without TLS too.
	PlaintextAuth bool

	// Without takes keywords out of the reply to EHLO, such as "PIPELINING" or
	// "CHUNKING", and With adds lines, such as "LIMITS MAILMAX=20".
	Without, With []string
	// MaxSize bounds a message (SIZE), MaxRecipients the recipients of one
	// (LIMITS RCPTMAX). Zero means without bound.
	MaxSize       int64
	MaxRecipients int

	// EnvelopeOnly throws the messages' octets away, for load.
	EnvelopeOnly bool
	// Receive is called with each accepted message, before the client learns of
	// it, by the connection's goroutine. If it is set the server keeps no
	// messages; it still counts them.
	Receive func(*Message)
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	opts       Options
	listener   net.Listener
	directory  string // of the Unix socket, or empty
	smtp       *gosmtp.Server
	served     chan struct{} // closed when the listener is done
	transcript transcript

	// Mailbox holds what the server accepted.
	Mailbox

	mu     sync.Mutex
	script *script            // guarded by mu
	conns  map[*conn]struct{} // guarded by mu
	opened int                // guarded by mu; connections so far
	closed bool               // guarded by mu
}

// NewServer starts a server. As this is for tests, it panics where the options
// are wrong or nothing can listen. The caller calls Close.
func NewServer(opts *Options) *Server {
	s := &Server{
		served: make(chan struct{}),
		conns:  map[*conn]struct{}{},
	}
	if opts != nil {
		s.opts = *opts
	}
	var err error
	s.script, err = newScript(s.opts.Rules)
	must(errors.Join(err, s.opts.complete()))
	s.listen()
	s.smtp = s.newBackend()
	go func() {
		defer close(s.served)
		_ = s.smtp.Serve(accepter{s.listener, s})
	}()
	return s
}

// complete copies what the options refer to, fills in the defaults, and reports
// what is wrong.
func (o *Options) complete() error {
	o.Users = maps.Clone(o.Users)
	o.Without, o.With = slices.Clone(o.Without), slices.Clone(o.With)
	o.Network = cmp.Or(o.Network, "tcp")
	o.Hostname = cmp.Or(o.Hostname, "mx.example.com")
	if o.CA == nil {
		o.CA = NewCA()
	}
	if o.TLSConfig == nil {
		certificate := o.CA.Issue(o.Hostname, "localhost", "127.0.0.1", "::1")
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	if o.Mechanisms == nil {
		o.Mechanisms = mechanisms
	}
	o.Mechanisms = slices.Clone(o.Mechanisms)
	return o.check()
}

func (o *Options) check() error {
	var errs []error
	if !slices.Contains([]string{"tcp", "unix", "pipe"}, o.Network) {
		errs = append(errs, fmt.Errorf("network %q is none of tcp, unix and pipe", o.Network))
	}
	if o.TLS > NoTLS {
		errs = append(errs, fmt.Errorf("unknown TLS mode %d", o.TLS))
	}
	for _, name := range o.Mechanisms {
		if !slices.Contains(mechanisms, name) {
			errs = append(errs, fmt.Errorf("mechanism %q is none of %s", name, strings.Join(mechanisms, ", ")))
		}
	}
	if o.MaxSize < 0 || o.MaxRecipients < 0 {
		errs = append(errs, fmt.Errorf("negative limit: MaxSize %d, MaxRecipients %d", o.MaxSize, o.MaxRecipients))
	}
	return errors.Join(errs...)
}

func (s *Server) listen() {
	var err error
	switch s.opts.Network {
	case "tcp":
		s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	case "unix":
		s.directory, err = os.MkdirTemp("", "smtptest")
		must(err)
		s.listener, err = net.Listen("unix", filepath.Join(s.directory, "smtp"))
	case "pipe":
		s.listener = newPipeListener()
	}
	must(err)
}

func (s *Server) newBackend() *gosmtp.Server {
	b := gosmtp.NewServer(gosmtp.BackendFunc(newSession))
	b.Domain = s.opts.Hostname
	b.LMTP = s.opts.LMTP
	b.ErrorLog = errorLog{s}
	b.MaxMessageBytes = s.opts.MaxSize
	b.MaxRecipients = s.opts.MaxRecipients
	b.AllowInsecureAuth = true // conn knows of TLS, go-smtp does not
	b.EnableSMTPUTF8 = true
	b.EnableREQUIRETLS = true
	b.EnableBINARYMIME = true
	b.EnableDSN = true
	return b
}

// errorLog puts what go-smtp complains of into the transcript.
type errorLog struct{ *Server }

func (l errorLog) Printf(format string, args ...any) {
	l.transcript.add(0, "S: "+fmt.Sprintf(format, args...))
}

func (l errorLog) Println(args ...any) { l.transcript.add(0, "S: "+fmt.Sprint(args...)) }

// accepter wraps each connection in a conn.
type accepter struct {
	net.Listener
	server *Server
}

func (a accepter) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return a.server.adopt(c), nil
}

func (s *Server) adopt(c net.Conn) *conn {
	s.mu.Lock()
	s.opened++
	id := s.opened
	s.mu.Unlock()

	wrapped := newConn(s, c, id)
	s.mu.Lock()
	s.conns[wrapped] = struct{}{}
	s.mu.Unlock()
	return wrapped
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Close closes the listener and all connections, and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return
	}
	_ = s.listener.Close()
	<-s.served // no connection is adopted from here on
	s.CloseConnections()
	_ = s.smtp.Shutdown(context.Background())
	if s.directory != "" {
		_ = os.RemoveAll(s.directory)
	}
}

// CloseConnections closes the connections that are open, without a word, as a
// server that is restarted.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// URL is the server as a relay: smtp, smtps or lmtp, with the first of the
// users, by name, and its password.
func (s *Server) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.Addr()}
	switch {
	case s.opts.LMTP:
		u.Scheme = "lmtp"
	case s.opts.TLS == ImplicitTLS:
		u.Scheme = "smtps"
	}
	if s.opts.Network == "unix" {
		u.Host, u.Path = "", s.Addr()
	}
	if users := slices.Sorted(maps.Keys(s.opts.Users)); len(users) > 0 {
		u.User = url.UserPassword(users[0], s.opts.Users[users[0]])
	}
	if s.opts.TLS == NoTLS {
		u.RawQuery = "tls=none"
	}
	return u.String()
}

// Addr is where the server listens: host and port, or the path of the socket.
// On a pipe it is the host name and port 25.
func (s *Server) Addr() string {
	if s.opts.Network == "pipe" {
		return s.opts.Hostname + ":25"
	}
	return s.listener.Addr().String()
}

// DialContext connects to the server, whatever the address says, so that a
// Server is the dialer of its clients. With "pipe" it is the only way in.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if pipes, ok := s.listener.(*pipeListener); ok {
		return pipes.dial(ctx)
	}
	addr := s.listener.Addr()
	return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
}

// ClientTLS trusts the server, and nobody else. The server name is for the
// client to fill in; the certificate holds all names by which it can be dialed.
func (s *Server) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: s.opts.CA.Pool()}
}

// Script replaces the rules. It panics where one is wrong.
func (s *Server) Script(rules ...Rule) {
	script, err := newScript(rules)
	must(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

func (s *Server) match(on Command, from string, to ...string) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script.match(on, from, to...)
}

// capabilities makes of go-smtp's keywords those that the options ask for. Of TLS
// go-smtp knows nothing.
func (s *Server) capabilities(keywords []string, c *conn) []string {
	switch {
	case c.tls != nil:
		keywords = append(keywords, "REQUIRETLS")
	case s.opts.TLS == StartTLSOffered:
		keywords = append(keywords, "STARTTLS")
	}
	return append(slices.DeleteFunc(keywords, func(line string) bool {
		keyword, _, _ := strings.Cut(line, " ")
		return keyword == "AUTH" && !c.authOffered() ||
			slices.ContainsFunc(s.opts.Without, func(w string) bool { return strings.EqualFold(w, keyword) })
	}), s.opts.With...)
}

// record takes an accepted message.
func (s *Server) record(m *Message) {
	if s.opts.Receive != nil {
		s.opts.Receive(m)
		m = nil
	}
	s.add(m)
}

// Connections is how many connections have been made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}
