package smtp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// wireServer is a dialer whose connections are answered by a script, over net.Pipe.
type wireServer struct {
	t      testing.TB
	script func(p *wire)
	ca     *smtptest.CA // when it speaks TLS
	wg     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	wires []*wire
}

// newWireServer makes one; the test waits for its scripts to end.
func newWireServer(t testing.TB, script func(p *wire)) *wireServer {
	s := &wireServer{t: t, script: script}
	t.Cleanup(s.wg.Wait)
	return s
}

func (s *wireServer) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p := &wire{t: s.t, conn: server, r: bufio.NewReader(server)}
	s.mu.Lock()
	p.n = len(s.wires)
	s.wires = append(s.wires, p)
	s.mu.Unlock()
	s.wg.Go(func() {
		defer server.Close()
		s.script(p)
	})
	return client, nil
}

func (s *wireServer) dialed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wires)
}

// received is every octet that the n-th connection brought.
func (s *wireServer) received(n int) string {
	s.mu.Lock()
	p := s.wires[n]
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// wire is the server's end of a connection.
type wire struct {
	t    testing.TB
	n    int // which connection, from 0
	conn net.Conn
	r    *bufio.Reader

	mu  sync.Mutex // guards log
	log strings.Builder
}

func (p *wire) keep(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.WriteString(s)
}

// say writes lines. It does not matter whether the client still listens.
func (p *wire) say(lines ...string) {
	_, _ = io.WriteString(p.conn, strings.Join(lines, "\r\n")+"\r\n")
}

// line reads one line, without its end; false at the end of the connection.
func (p *wire) line() (string, bool) {
	line, err := p.r.ReadString('\n')
	p.keep(line)
	return strings.TrimRight(line, "\r\n"), err == nil
}

// hear reads lines up to one that starts with verb.
func (p *wire) hear(verb string) (string, bool) {
	for {
		line, ok := p.line()
		if !ok || strings.HasPrefix(line, verb) {
			return line, ok
		}
	}
}

// greet answers up to EHLO, with these extensions.
func (p *wire) greet(extensions ...string) bool {
	p.say("220 mx.example.com ESMTP")
	return p.ehlo(extensions...)
}

func (p *wire) ehlo(extensions ...string) bool {
	if _, ok := p.line(); !ok {
		return false
	}
	lines := append([]string{"mx.example.com"}, extensions...)
	for i := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + lines[i]
	}
	p.say(lines...)
	return true
}

// body reads the message after DATA, and undoes the dots.
func (p *wire) body() (string, bool) {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		p.keep(line)
		if err != nil {
			return b.String(), false
		}
		if line == ".\r\n" {
			return b.String(), true
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// chunk reads the octets of a BDAT command.
func (p *wire) chunk(command string) (body string, last, ok bool) {
	fields := strings.Fields(command)
	n, err := strconv.Atoi(fields[1])
	require.NoError(p.t, err)
	b := make([]byte, n)
	read, err := io.ReadFull(p.r, b)
	p.keep(string(b[:read]))
	return string(b), len(fields) == 3 && fields[2] == "LAST", err == nil
}

// wait reads on until the client hangs up.
func (p *wire) wait() {
	rest, _ := io.ReadAll(p.r)
	p.keep(string(rest))
}

// serve is a server that accepts everything, except what answer refuses: it is
// asked for each command, and for the message as "." with its text; an empty
// answer is acceptance, and "-" hangs up.
func (p *wire) serve(answer func(command, body string) string) {
	var body strings.Builder
	for {
		line, ok := p.line()
		if !ok {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		reply, said := "250 2.0.0 OK", answer(line, "")
		switch verb {
		case "QUIT":
			p.say("221 bye")
			return
		case "DATA":
			if said != "" {
				break
			}
			p.say("354 go on")
			text, ok := p.body()
			if !ok {
				return
			}
			said, reply = answer(".", text), "250 2.0.0 Ok: queued as 4XyZ"
		case "BDAT":
			text, last, ok := p.chunk(line)
			if !ok {
				return
			}
			body.WriteString(text)
			if last {
				if said == "" {
					said = answer(".", body.String())
				}
				reply = "250 2.0.0 Ok: queued as 4XyZ"
				body.Reset()
			}
		}
		if said == "-" {
			return
		}
		if said != "" {
			reply = said
		}
		p.say(strings.Split(reply, "\n")...)
	}
}

func accept(string, string) string { return "" }

// newRelay makes a relay to the scripted server, without TLS.
func newRelay(t testing.TB, dialer smtp.Dialer, opts smtp.RelayOptions) *smtp.Relay {
	t.Helper()
	opts.Dialer = dialer
	relay, err := smtp.NewRelay("smtp://localhost?tls=none", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	return relay
}

const hello = "From: ana@example.com\r\nTo: luis@example.com\r\nSubject: Hola\r\n\r\nHola, Luis.\r\n"

// letter is a message to these recipients.
func letter(text string, to ...string) *smtp.Message {
	m := &smtp.Message{From: "ana@example.com", Content: smtp.Bytes([]byte(text))}
	for _, addr := range to {
		m.To = append(m.To, smtp.Recipient{Addr: addr})
	}
	if len(to) == 0 {
		m.To = []smtp.Recipient{{Addr: "luis@example.com"}}
	}
	return m
}

// statuses is the fates of the recipients, in order.
func statuses(r *smtp.Result) string {
	var s []string
	for _, o := range r.Recipients {
		s = append(s, fmt.Sprint(o.Status))
	}
	return strings.Join(s, ", ")
}
