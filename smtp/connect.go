package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// greeter opens a conversation: greeting, EHLO, STARTTLS, AUTH. What comes after
// is a session's.
type greeter struct {
	target  *target
	conn    net.Conn
	replies *replyReader
	trace   *Trace
	info    ServerInfo
}

// dialSession connects to t, with TLS and AUTH as it says, and returns a session
// that is ready for its first transaction. The error is an [*Error].
func dialSession(ctx context.Context, t *target) (*session, error) {
	began := time.Now()
	s, err := openSession(ctx, t)
	if errors.Is(err, errOpportunity) && ctx.Err() == nil {
		if t.tlsBroke != nil {
			t.tlsBroke()
		}
		clear := *t
		clear.security = plaintext
		s, err = openSession(ctx, &clear)
	}
	trace := contextTrace(ctx)
	if err != nil {
		trace.connected(Session{Host: t.host}, time.Since(began), err)
		return nil, err
	}
	trace.connected(*s.first, time.Since(began), nil)
	return s, nil
}

// errOpportunity says that the handshake of opportunistic TLS failed, so that
// another connection without TLS is worth a try (RFC 7435, section 3).
var errOpportunity = errors.New("opportunistic TLS failed")

func openSession(ctx context.Context, t *target) (*session, error) {
	g := &greeter{target: t, trace: contextTrace(ctx)}
	if err := g.dial(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = g.conn.SetDeadline(time.Unix(1, 0)) })
	err := g.open(ctx)
	if !stop() && err == nil {
		err = g.fail(PhaseHello, ctx.Err())
	}
	if err != nil {
		_ = g.conn.Close()
		if ctx.Err() != nil {
			err = withCause(err, ended(ctx))
		}
		return nil, err
	}
	_ = g.conn.SetDeadline(time.Time{})
	return newSession(g), nil
}

// withCause tells of the end of a context instead of the broken read that it led to.
func withCause(err, cause error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Err, told.Class = cause, ErrTemporary
	return &told
}

func (g *greeter) fail(phase Phase, err error) error {
	return &Error{Phase: phase, Host: g.target.host, Err: err}
}

func (g *greeter) refuse(phase Phase, r Reply, cause error) error {
	return &Error{Phase: phase, Host: g.target.host, Reply: r, Err: cause}
}

func (g *greeter) dial(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, g.target.timeouts.Connect)
	defer cancel()
	conn, err := g.target.dialer.DialContext(dialing, g.target.network, g.target.addr)
	if err != nil {
		if ctx.Err() != nil {
			err = ended(ctx)
		}
		return g.fail(PhaseConnect, err)
	}
	g.use(conn)
	g.info.Host = g.target.host
	g.info.Session = Session{
		Host:       g.target.host,
		RemoteAddr: addrPort(conn.RemoteAddr()),
		LocalAddr:  addrPort(conn.LocalAddr()),
		Policy:     g.target.policy,
		Started:    time.Now(),
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

func (g *greeter) use(conn net.Conn) {
	g.conn = conn
	g.replies = newReplyReader(bufio.NewReaderSize(conn, 2*maxReplyLine))
}

func (g *greeter) open(ctx context.Context) error {
	if g.target.security == implicitTLS {
		if err := g.handshake(ctx); err != nil {
			return err
		}
	}
	if err := g.greet(ctx); err != nil {
		return err
	}
	if err := g.hello(ctx); err != nil {
		return err
	}
	if g.target.security == startTLSOpportunistic || g.target.security == startTLSRequired {
		if err := g.startTLS(ctx); err != nil {
			return err
		}
	}
	if g.target.auth == nil {
		return nil
	}
	return g.authenticate(ctx)
}

func (g *greeter) greet(ctx context.Context) error {
	reply, err := g.read(ctx, PhaseGreeting, g.target.timeouts.Greeting)
	if err != nil {
		return err
	}
	if reply.Code/100 != 2 {
		return g.refuse(PhaseGreeting, reply, nil)
	}
	return nil
}

func (g *greeter) hello(ctx context.Context) error {
	name := g.target.localName
	if name == "" {
		name = localName(g.info.Session.LocalAddr)
	}
	verb := "EHLO "
	if g.target.lmtp {
		verb = "LHLO "
	}
	reply, err := g.command(ctx, PhaseHello, verb+name)
	if err != nil {
		return err
	}
	if reply.Code/100 == 5 && reply.Code != 554 && !g.target.lmtp {
		// RFC 5321, section 3.2: servers that do not know EHLO.
		if reply, err = g.command(ctx, PhaseHello, "HELO "+name); err != nil {
			return err
		}
		if len(reply.Lines) > 1 {
			reply.Lines = reply.Lines[:1]
		}
	}
	if reply.Code/100 != 2 {
		return g.refuse(PhaseHello, reply, nil)
	}
	g.info.Name, g.info.Extensions = parseExtensions(reply)
	return nil
}

// localName is what to say in EHLO when nothing was configured: the name of this
// machine when it is a full one, or else the address of the connection. It is
// never localhost, which servers refuse.
func localName(addr netip.AddrPort) string {
	name, err := os.Hostname()
	name = strings.ToLower(name)
	if err == nil && strings.Contains(name, ".") && checkHost(name) == "" && !strings.HasPrefix(name, "localhost.") {
		return name
	}
	if addr.IsValid() {
		return literal(addr.Addr().WithZone(""))
	}
	return "[127.0.0.1]"
}

func (g *greeter) startTLS(ctx context.Context) error {
	required := g.target.security == startTLSRequired
	if _, offered := g.info.Extensions["STARTTLS"]; !offered {
		if required {
			return g.fail(PhaseStartTLS, g.underPolicy(ErrTLSRequired))
		}
		return nil
	}
	reply, err := g.command(ctx, PhaseStartTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if reply.Code != 220 {
		if required {
			return &Error{Phase: PhaseStartTLS, Host: g.target.host, Reply: reply, Err: g.underPolicy(ErrTLSRequired), Class: ErrTemporary}
		}
		return nil
	}
	// RFC 3207, section 6: what came in clear behind the reply may be an attacker's.
	if g.replies.Buffered() > 0 {
		return g.fail(PhaseStartTLS, fmt.Errorf("%w: data behind the reply to STARTTLS", errProtocol))
	}
	if err := g.handshake(ctx); err != nil {
		if !required {
			return g.fail(PhaseStartTLS, fmt.Errorf("%w: %w", errOpportunity, err))
		}
		return err
	}
	// RFC 3207, section 4.2: what was learned before TLS is forgotten.
	g.info.Name, g.info.Extensions = "", nil
	return g.hello(ctx)
}

// underPolicy says of a failure of TLS that the domain's own policy forbids to go
// on without.
func (g *greeter) underPolicy(err error) error {
	if g.target.policy == policyNone || g.target.policy == policyRequired {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTLSPolicy, err)
}

func (g *greeter) handshake(ctx context.Context) error {
	var verified error
	conn := tls.Client(g.conn, g.tlsConfig(&verified))
	shaking, cancel := context.WithTimeout(ctx, g.target.timeouts.TLS)
	defer cancel()
	if err := conn.HandshakeContext(shaking); err != nil {
		return g.fail(PhaseStartTLS, g.underPolicy(err))
	}
	g.use(conn)
	state := conn.ConnectionState()
	g.info.TLS = &state
	g.info.Session.TLSVersion, g.info.Session.CipherSuite = state.Version, state.CipherSuite
	g.info.Session.TLSVerified = verified == nil && !(g.target.tls != nil && g.target.tls.InsecureSkipVerify && g.target.verify == nil)
	return nil
}

// tlsConfig is the configuration for one handshake. Opportunistic TLS looks at the
// certificate without insisting, and leaves in verified what it thinks of it.
func (g *greeter) tlsConfig(verified *error) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if g.target.tls != nil {
		config = g.target.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = g.target.host
	}
	switch {
	case g.target.security == startTLSOpportunistic:
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			*verified = verifyPKIX(state, config)
			return nil
		}
	case g.target.verify != nil:
		config.InsecureSkipVerify = true
		config.VerifyConnection = g.target.verify
	}
	return config
}

func verifyPKIX(state tls.ConnectionState, config *tls.Config) error {
	options := x509.VerifyOptions{
		Roots:         config.RootCAs,
		DNSName:       config.ServerName,
		Intermediates: x509.NewCertPool(),
	}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// command says one line and reads the reply to it.
func (g *greeter) command(ctx context.Context, phase Phase, line string) (Reply, error) {
	return g.exchange(ctx, phase, line, line)
}

// exchange is command with what a trace is shown.
func (g *greeter) exchange(ctx context.Context, phase Phase, line, shown string) (Reply, error) {
	if strings.ContainsAny(line, "\r\n\x00") {
		return Reply{}, g.fail(phase, errors.New("line break or NUL in a command"))
	}
	g.trace.command(shown)
	g.limit(ctx, g.target.timeouts.Command)
	if _, err := g.conn.Write([]byte(line + "\r\n")); err != nil {
		return Reply{}, g.fail(phase, err)
	}
	return g.read(ctx, phase, g.target.timeouts.Command)
}

// limit sets the deadline of the next step, unless ctx has ended.
func (g *greeter) limit(ctx context.Context, d time.Duration) {
	_ = g.conn.SetDeadline(time.Now().Add(d))
	if ctx.Err() != nil {
		_ = g.conn.SetDeadline(time.Unix(1, 0))
	}
}

func (g *greeter) read(ctx context.Context, phase Phase, timeout time.Duration) (Reply, error) {
	began := time.Now()
	g.limit(ctx, timeout)
	raw, err := g.replies.next()
	if err != nil {
		return Reply{}, g.fail(phase, err)
	}
	reply := raw.reply()
	g.trace.reply(phase, reply, time.Since(began))
	return reply, nil
}

// authenticate runs the SASL exchange that the target's Auth picks (RFC 4954).
func (g *greeter) authenticate(ctx context.Context) error {
	if g.info.TLS == nil && g.target.clear == refuseClearAuth {
		return g.authError(ErrInsecureAuth)
	}
	exchange, err := g.target.auth.Begin(ctx, &g.info)
	if err != nil {
		return g.authError(err)
	}
	mechanism, initial, err := exchange.Start()
	if err != nil {
		return g.authError(err)
	}
	line, shown := "AUTH "+mechanism, "AUTH "+mechanism
	if initial != nil {
		line, shown = line+" "+encodeInitial(initial), shown+" ***"
	}
	if len(line) > maxInitialLine {
		// RFC 4954, section 4: what does not fit waits to be asked for.
		return g.converse(ctx, exchange, "AUTH "+mechanism, "AUTH "+mechanism, initial)
	}
	return g.converse(ctx, exchange, line, shown, nil)
}

// maxInitialLine is the longest AUTH command with its CRLF left out (RFC 4954,
// section 3, item 6, raises the limit of lines for AUTH; not every server obeys).
const maxInitialLine = 12286

func encodeInitial(initial []byte) string {
	if len(initial) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(initial)
}

// maxChallenges bounds the turns of one SASL exchange.
const maxChallenges = 16

func (g *greeter) converse(ctx context.Context, exchange Exchange, line, shown string, held []byte) error {
	for range maxChallenges {
		reply, err := g.exchange(ctx, PhaseAuth, line, shown)
		if err != nil {
			return err
		}
		if reply.Code/100 == 2 {
			return g.finishAuth(exchange)
		}
		if reply.Code != 334 {
			return g.refuse(PhaseAuth, reply, ErrAuth)
		}
		response := held
		if held = nil; response == nil {
			if response, err = nextResponse(exchange, reply); err != nil {
				_, _ = g.exchange(ctx, PhaseAuth, "*", "*") // RFC 4954, section 4: cancel
				return g.authError(err)
			}
		}
		line, shown = base64.StdEncoding.EncodeToString(response), "***"
	}
	return g.authError(fmt.Errorf("%w: more than %d challenges", errProtocol, maxChallenges))
}

func nextResponse(exchange Exchange, reply Reply) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.Join(reply.Lines, ""))
	if err != nil {
		// QUIRK: servers ask for the user name of LOGIN in clear.
		challenge = []byte(reply.Text())
	}
	return exchange.Next(challenge)
}

// finishAuth hears an exchange that wants to judge the server before it trusts
// the success that the server reports.
func (g *greeter) finishAuth(exchange Exchange) error {
	judge, ok := exchange.(interface{ Finish() error })
	if !ok {
		return nil
	}
	if err := judge.Finish(); err != nil {
		return g.authError(err)
	}
	return nil
}

func (g *greeter) authError(err error) error {
	if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrInsecureAuth) {
		err = fmt.Errorf("%w: %w", ErrAuth, err)
	}
	e := &Error{Phase: PhaseAuth, Host: g.target.host, Err: err}
	if errors.Is(err, ErrInsecureAuth) {
		e.Class = ErrPermanent
	}
	return e
}
