package smtptest

import (
	"bytes"
	"io"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/franqueo/franqueo/smtp"
)

// session is one connection as go-smtp sees it.
type session struct {
	conn    *conn
	smtp    *gosmtp.Conn
	message *Message // being received
}

var _ interface {
	gosmtp.LMTPSession
	gosmtp.AuthSession
} = (*session)(nil)

func newSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	return &session{conn: c.Conn().(*conn), smtp: c}, nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

var errUnauthenticated = &gosmtp.SMTPError{
	Code:         530,
	EnhancedCode: gosmtp.EnhancedCode{5, 7, 0},
	Message:      "Authentication required",
}

// Mail implements [gosmtp.Session].
func (s *session) Mail(from string, opts *gosmtp.MailOptions) error {
	if len(s.conn.server.opts.Users) > 0 && s.conn.user == "" {
		return errUnauthenticated
	}
	s.conn.from = from
	s.message = &Message{
		From:         from,
		DeclaredSize: opts.Size,
		EnvelopeID:   opts.EnvelopeID,
		Return:       smtp.Return(opts.Return),
		Body:         string(opts.Body),
		UTF8:         opts.UTF8,
		RequireTLS:   opts.RequireTLS,
		Hello:        s.smtp.Hostname(),
		User:         s.conn.user,
		Conn:         s.conn.id,
		TLS:          s.conn.tlsState(),
	}
	return s.ask(Mail)
}

// Rcpt implements [gosmtp.Session].
func (s *session) Rcpt(to string, opts *gosmtp.RcptOptions) error {
	if err := s.ask(Rcpt, to); err != nil {
		return err
	}
	s.message.To = append(s.message.To, smtp.Recipient{
		Addr:   to,
		Notify: notify(opts.Notify),
		ORCPT:  opts.OriginalRecipient,
	})
	return nil
}

func notify(list []gosmtp.DSNNotify) smtp.Notify {
	var n smtp.Notify
	for _, event := range list {
		switch event {
		case gosmtp.DSNNotifyNever:
			n |= smtp.NotifyNever
		case gosmtp.DSNNotifySuccess:
			n |= smtp.NotifySuccess
		case gosmtp.DSNNotifyFailure:
			n |= smtp.NotifyFailure
		case gosmtp.DSNNotifyDelayed:
			n |= smtp.NotifyDelay
		}
	}
	return n
}

// ask has the script answer a command. The error, if the command has no effect,
// only tells go-smtp so: what is sent is the scripted answer.
func (s *session) ask(on Command, to ...string) error {
	s.conn.next = s.conn.server.match(on, s.message.From, to...)
	if s.conn.next.skips() {
		return gosmtp.ErrDataReset
	}
	return nil
}

// Data implements [gosmtp.Session].
func (s *session) Data(r io.Reader) error {
	if err := s.receive(r); err != nil {
		return err
	}
	to := make([]string, len(s.message.To))
	for i, rcpt := range s.message.To {
		to[i] = rcpt.Addr
	}
	verdict := s.conn.server.match(End, s.message.From, to...)
	s.conn.next = verdict
	if verdict.refuses() {
		return verdict.error()
	}
	s.conn.server.record(s.message)
	return nil
}

// LMTPData implements [gosmtp.LMTPSession]: each recipient has its own answer
// (RFC 2033, section 4.2).
func (s *session) LMTPData(r io.Reader, status gosmtp.StatusCollector) error {
	if err := s.receive(r); err != nil {
		return err
	}
	to := s.message.To
	verdicts := s.judge(to)
	if len(s.message.To) > 0 {
		s.conn.server.record(s.message)
	}
	for i, rcpt := range to { // from here on the replies leave
		status.SetStatus(rcpt.Addr, verdicts[i])
	}
	return nil
}

// judge gives the answer to the end of the message for each recipient, and
// leaves those in the message that have accepted it.
func (s *session) judge(to []smtp.Recipient) []error {
	verdicts := make([]error, len(to))
	s.message.To = nil
	for i, rcpt := range to {
		verdict := s.conn.server.match(End, s.message.From, rcpt.Addr)
		if !verdict.refuses() {
			s.message.To = append(s.message.To, rcpt)
		}
		if verdict == nil {
			continue
		}
		if verdict.code != 0 {
			verdicts[i] = verdict.error()
		}
		if s.conn.next == nil { // what befalls the connection befalls it once
			s.conn.next = &answer{Rule: Rule{Do: verdict.Do, Delay: verdict.Delay, Reply: verdict.Reply}}
		}
	}
	return verdicts
}

// receive reads the message.
func (s *session) receive(r io.Reader) error {
	var err error
	if s.conn.server.opts.EnvelopeOnly {
		s.message.Size, err = io.Copy(io.Discard, r)
	} else {
		var b bytes.Buffer
		b.Grow(int(min(s.message.DeclaredSize+bytes.MinRead, 1<<20)))
		s.message.Size, err = b.ReadFrom(r)
		s.message.Data = b.Bytes()
	}
	s.message.Time = time.Now()
	return err
}

// AuthMechanisms implements [gosmtp.AuthSession].
func (s *session) AuthMechanisms() []string { return s.conn.server.offered(s.conn) }

// Auth implements [gosmtp.AuthSession].
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	return s.conn.server.authenticate(mechanism, s.conn)
}
