package bounce

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// Handler takes one report. An error means that it was not taken: whoever brought
// the mail keeps it and brings it again. It can be called by several goroutines at
// once, and the same mail can come more than once.
type Handler func(ctx context.Context, r *Report) error

// ServerOptions tunes a [Server]. The zero value is ready for use.
type ServerOptions struct {
	// Hostname is the name in the greeting. Empty means "localhost".
	Hostname string
	// LMTP makes it speak LMTP (RFC 2033) instead of SMTP.
	LMTP bool
	// TLS offers STARTTLS. Nil does not.
	TLS *tls.Config
	// MaxMessage is the size in bytes over which a mail is refused. Zero means 64
	// MiB: reports can return large mail whole.
	MaxMessage int64
	// MaxConnections bounds those that are served at once; more wait. Zero means
	// 100.
	MaxConnections int
	// Timeout bounds the wait for a command and for each read and write. Zero means
	// 5 minutes (RFC 5321, section 4.5.3.2.7).
	Timeout time.Duration
	// Grace is how long transactions that are under way may go on after the context
	// of Serve ended. Zero means 10 seconds.
	Grace time.Duration
	// Log receives one record per mail. Nil discards.
	Log *slog.Logger
}

// Server receives returned mail over SMTP or LMTP, and hands each as a [Report] to
// the host. It relays nothing: mail that it accepts goes to the handler and nowhere
// else. Mail is acknowledged after the handler took it; when the handler fails, the
// client is told to try again (451), so that nothing is lost.
//
// Servers report with a null reverse-path, providers and people with others:
// all are accepted. Mail that is no report comes to the handler, too, as kind
// [NotReport].
type Server struct {
	accept func(recipient string) bool
	handle Handler
	opts   ServerOptions
}

// NewServer returns a server that takes mail for the recipients that accept names,
// and gives it to handle. A host whose addresses carry tokens accepts those whose
// token is its own; so nobody else's mail gets in. Both functions are required, and
// can be called by several goroutines at once.
func NewServer(accept func(recipient string) bool, handle Handler, opts *ServerOptions) (*Server, error) {
	s := &Server{accept: accept, handle: handle}
	if opts != nil {
		s.opts = *opts
	}
	if err := errors.Join(
		require(accept != nil, "accept is nil: say which recipients are yours"),
		require(handle != nil, "handle is nil"),
		require(s.opts.MaxMessage >= 0, "MaxMessage is negative"),
		require(s.opts.MaxConnections >= 0, "MaxConnections is negative"),
		require(s.opts.Timeout >= 0 && s.opts.Grace >= 0, "Timeout or Grace is negative"),
	); err != nil {
		return nil, fmt.Errorf("bounce: new server: %w", err)
	}
	s.opts.defaults()
	return s, nil
}

func require(ok bool, fault string) error {
	if ok {
		return nil
	}
	return errors.New(fault)
}

func (o *ServerOptions) defaults() {
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = maxMail
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 100
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Serve accepts connections on l until ctx ends. Then it closes l, turns idle
// connections away (421), lets transactions finish within the grace, and returns
// nil. The context that the handler gets lives until then. Another error of l ends
// it with that error. Serve can be called for several listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g := newGate(l, s.opts.MaxConnections)
	server := s.newSMTP(work)
	stop := context.AfterFunc(ctx, func() { _ = g.Close() })
	defer stop()
	err := server.Serve(g)
	late := time.AfterFunc(s.opts.Grace, func() {
		cancel()
		g.abort()
	})
	defer late.Stop()
	g.drain()
	_ = server.Shutdown(context.WithoutCancel(ctx)) // waits for every connection
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("bounce: accept connections: %w", err)
}

func (s *Server) newSMTP(ctx context.Context) *smtp.Server {
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{Server: s, ctx: ctx, conn: gated(c.Conn()), remote: c.Conn().RemoteAddr().String()}, nil
	}))
	server.Domain = s.opts.Hostname
	server.LMTP = s.opts.LMTP
	server.TLSConfig = s.opts.TLS
	server.MaxMessageBytes = s.opts.MaxMessage
	server.MaxRecipients = 100 // RFC 5321, section 4.5.3.1.8
	server.ReadTimeout = s.opts.Timeout
	server.WriteTimeout = s.opts.Timeout
	server.EnableSMTPUTF8 = true // RFC 6533
	server.ErrorLog = slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug)
	return server
}

// session is one connection's state. go-smtp calls it from one goroutine.
type session struct {
	*Server
	ctx    context.Context
	conn   *gatedConn
	remote string
	from   string
	to     []string
}

// Mail begins a transaction.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.conn.setBusy(true)
	s.from = from
	return nil
}

// Rcpt accepts the recipients of the host alone.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !s.accept(to) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such address here"}
	}
	s.to = append(s.to, to)
	return nil
}

// Data hands the mail to the host. The reply is sent after that.
func (s *session) Data(r io.Reader) error {
	report, err := Parse(r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what Parse left behind its limit
	}
	if err != nil {
		return unwrapSMTP(err)
	}
	report.To = appendNewAll(s.to, report.To)
	if s.from != "" && report.From == "" {
		report.From = s.from
	}
	err = s.handle(s.ctx, report)
	s.opts.Log.LogAttrs(s.ctx, slog.LevelInfo, "returned mail", slog.String("remote", s.remote),
		slog.String("kind", report.Kind.String()), slog.Int("recipients", len(report.Recipients)), slog.Any("err", err))
	if err != nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Cannot take it now, try again later"}
	}
	return nil
}

// appendNewAll is the envelope's recipients before those of the header.
func appendNewAll(envelope, header []string) []string {
	all := make([]string, 0, len(envelope)+len(header))
	for _, a := range envelope {
		all = appendNew(all, a)
	}
	for _, a := range header {
		all = appendNew(all, a)
	}
	return all
}

// unwrapSMTP keeps a reply of go-smtp, such as that a mail is too large.
func unwrapSMTP(err error) error {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) {
		return reply
	}
	return err
}

// Reset ends a transaction.
func (s *session) Reset() {
	s.from, s.to = "", nil
	s.conn.setBusy(false)
}

// Logout ends the connection.
func (s *session) Logout() error { return nil }
