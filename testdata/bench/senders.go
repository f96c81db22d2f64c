package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	netsmtp "net/smtp"
	"strconv"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/wneessen/go-mail"

	"github.com/franqueo/franqueo/smtp"
)

// candidate is a sender. start connects, and gives what a caller calls to send one
// message or more: it returns how many.
type candidate struct {
	name  string
	start func(s setting) (send func(ctx context.Context, caller int) (int, error), stop func(), err error)
}

func candidates(extension string) []candidate {
	raw := startRawWindow
	if extension != "CHUNKING" {
		raw = startRawData
	}
	return []candidate{
		{"raw", raw},
		{"raw, DATA by itself", startRawAlone},
		{"franqueo", func(s setting) (func(context.Context, int) (int, error), func(), error) { return startRelay(s, 0) }},
		{"franqueo, as many connections", func(s setting) (func(context.Context, int) (int, error), func(), error) {
			return startRelay(s, s.callers)
		}},
		{"franqueo, 1 connection", func(s setting) (func(context.Context, int) (int, error), func(), error) { return startRelay(s, 1) }},
		{"go-mail", perCaller(newGoMail)},
		{"net/smtp", perCaller(newNetSMTP)},
		{"go-smtp", perCaller(newGoSMTP)},
	}
}

func startRelay(s setting, conns int) (func(context.Context, int) (int, error), func(), error) {
	scheme := "smtp://"
	if s.tls {
		scheme = "smtps://"
	}
	relay, err := smtp.NewRelay(scheme+s.addr, &smtp.RelayOptions{
		TLSConfig: &tls.Config{InsecureSkipVerify: true},
		Pool:      smtp.PoolOptions{MaxConns: conns},
	})
	if err != nil {
		return nil, nil, err
	}
	m := &smtp.Message{
		From:    "ana@example.com",
		To:      []smtp.Recipient{{Addr: "luis@example.com"}},
		Content: smtp.Bytes(s.message),
	}
	send := func(ctx context.Context, _ int) (int, error) {
		_, err := relay.Send(ctx, m)
		return 1, err
	}
	return send, func() { _ = relay.Close() }, nil
}

// sender keeps one connection.
type sender interface {
	send() error
	Close() error
}

// perCaller gives each caller a sender, and so a connection, of its own.
func perCaller(open func(s setting) (sender, error)) func(s setting) (func(context.Context, int) (int, error), func(), error) {
	return func(s setting) (func(context.Context, int) (int, error), func(), error) {
		senders := make([]sender, s.callers)
		stop := func() {
			for _, c := range senders {
				if c != nil {
					_ = c.Close()
				}
			}
		}
		for i := range senders {
			c, err := open(s)
			if err != nil {
				stop()
				return nil, nil, err
			}
			senders[i] = c
		}
		return func(_ context.Context, caller int) (int, error) { return 1, senders[caller].send() }, stop, nil
	}
}

type goMail struct {
	*mail.Client
	message *mail.Msg
}

func newGoMail(s setting) (sender, error) {
	host, portText, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTLSPolicy(mail.NoTLS), mail.WithHELO("bench.example.com")}
	if s.tls {
		options = append(options, mail.WithSSL(), mail.WithTLSConfig(&tls.Config{InsecureSkipVerify: true}))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, err
	}
	_, body, _ := bytes.Cut(s.message, []byte("\r\n\r\n"))
	m := mail.NewMsg(mail.WithEncoding(mail.NoEncoding))
	if err := m.From("ana@example.com"); err != nil {
		return nil, err
	}
	if err := m.To("luis@example.com"); err != nil {
		return nil, err
	}
	m.Subject("Hola")
	m.SetBodyString(mail.TypeTextPlain, string(body))
	return &goMail{client, m}, client.DialWithContext(context.Background())
}

func (c *goMail) send() error { return c.Send(c.message) }

type netSMTP struct {
	*netsmtp.Client
	message []byte
}

func newNetSMTP(s setting) (sender, error) {
	conn, err := dial(s)
	if err != nil {
		return nil, err
	}
	client, err := netsmtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	return &netSMTP{client, s.message}, client.Hello("bench.example.com")
}

func (c *netSMTP) send() error {
	if err := c.Mail("ana@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt("luis@example.com"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(c.message); err != nil {
		return err
	}
	return w.Close()
}

type goSMTP struct {
	*gosmtp.Client
	message []byte
}

func newGoSMTP(s setting) (sender, error) {
	conn, err := dial(s)
	if err != nil {
		return nil, err
	}
	client := gosmtp.NewClient(conn)
	return &goSMTP{client, s.message}, client.Hello("bench.example.com")
}

func (c *goSMTP) send() error {
	return c.SendMail("ana@example.com", []string{"luis@example.com"}, bytes.NewReader(c.message))
}
