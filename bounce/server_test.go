package bounce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	emersion "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleServer() {
	ours := func(recipient string) bool { return strings.HasSuffix(recipient, "@bounces.example.com") }
	server, err := bounce.NewServer(ours, func(_ context.Context, r *bounce.Report) error {
		fmt.Println(r.Kind, r.Recipients[0].Final, r.Recipients[0].Reason)
		return nil
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.Serve(ctx, listener) }()
	err = smtp.SendMail(listener.Addr().String(), nil, "", []string{"b+01k0x@bounces.example.com"}, []byte(postfixReport))
	fmt.Println(err)
	cancel()
	fmt.Println(<-served)
	// Output:
	// bounce ana@example.net bad-mailbox
	// <nil>
	// <nil>
}

// receiver is a server under test, and what it received.
type receiver struct {
	address string
	stop    context.CancelFunc
	served  chan error

	mu      sync.Mutex // guards what follows
	reports []*bounce.Report
	err     error
}

func (r *receiver) handle(_ context.Context, report *bounce.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.reports = append(r.reports, report)
	}
	return r.err
}

func (r *receiver) received() []*bounce.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reports
}

func serve(t *testing.T, opts *bounce.ServerOptions) *receiver {
	t.Helper()
	r := &receiver{served: make(chan error, 1)}
	server, err := bounce.NewServer(func(to string) bool { return !strings.HasPrefix(to, "nobody") }, r.handle, opts)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.served <- server.Serve(ctx, listener) }()
	t.Cleanup(cancel)
	return r
}

func TestServerReceives(t *testing.T) {
	r := serve(t, nil)
	require.NoError(t, smtp.SendMail(r.address, nil, "", []string{"b+2@bounces.example.com"}, []byte(postfixReport)))
	require.NoError(t, smtp.SendMail(r.address, nil, "ana@example.net", []string{"b+3@bounces.example.com"}, []byte("From: ana@example.net\r\nSubject: Hola\r\n\r\nHola\r\n")))
	got := r.received()
	require.Len(t, got, 2)
	require.Equal(t, bounce.KindBounce, got[0].Kind)
	require.Equal(t, []string{"b+2@bounces.example.com", "b+01k0x@bounces.example.com"}, got[0].To)
	require.Equal(t, bounce.NotReport, got[1].Kind)
	r.stop()
	require.NoError(t, <-r.served)
}

func TestServerRefuses(t *testing.T) {
	r := serve(t, &bounce.ServerOptions{MaxMessage: 1 << 10})
	err := smtp.SendMail(r.address, nil, "", []string{"nobody@example.com"}, []byte(postfixReport))
	require.Equal(t, 550, code(t, err))
	err = smtp.SendMail(r.address, nil, "", []string{"b@example.com"}, []byte(postfixReport))
	require.Equal(t, 552, code(t, err))
	r.mu.Lock()
	r.err = errors.New("the store is full")
	r.mu.Unlock()
	err = smtp.SendMail(r.address, nil, "", []string{"b@example.com"}, []byte("Subject: x\r\n\r\n"))
	require.Equal(t, 451, code(t, err))
	require.NotContains(t, err.Error(), "store", "our own affairs")
	require.Empty(t, r.received())
}

func code(t *testing.T, err error) int {
	t.Helper()
	var reply *textproto.Error
	require.ErrorAs(t, err, &reply)
	return reply.Code
}

func TestServerLMTP(t *testing.T) {
	r := serve(t, &bounce.ServerOptions{LMTP: true})
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	c := emersion.NewClientLMTP(conn)
	defer c.Close()
	require.NoError(t, c.Mail("", nil))
	require.NoError(t, c.Rcpt("a@example.com", nil))
	require.Error(t, c.Rcpt("nobody@example.com", nil))
	require.NoError(t, c.Rcpt("b@example.com", nil))
	w, err := c.Data()
	require.NoError(t, err)
	_, err = w.Write([]byte(postfixReport))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, []string{"a@example.com", "b@example.com", "b+01k0x@bounces.example.com"}, r.received()[0].To)
}

// TestServerDrains has one connection idle and one in a transaction when the
// context ends: the first is turned away, the second may finish.
func TestServerDrains(t *testing.T) {
	r := serve(t, nil)
	idle, err := textproto.Dial("tcp", r.address)
	require.NoError(t, err)
	defer idle.Close()
	_, _, err = idle.ReadResponse(220)
	require.NoError(t, err)
	busy, err := smtp.Dial(r.address)
	require.NoError(t, err)
	defer busy.Close()
	require.NoError(t, busy.Mail(""))

	r.stop()
	_, _, err = idle.ReadResponse(421)
	require.NoError(t, err)
	require.NoError(t, busy.Rcpt("b@example.com"))
	w, err := busy.Data()
	require.NoError(t, err)
	_, err = w.Write([]byte(postfixReport))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, <-r.served)
	require.Len(t, r.received(), 1)
	_, err = net.Dial("tcp", r.address)
	require.Error(t, err)
}

// TestServerGrace has a transaction that never ends.
func TestServerGrace(t *testing.T) {
	r := serve(t, &bounce.ServerOptions{Grace: 50 * time.Millisecond})
	c, err := smtp.Dial(r.address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Mail(""))
	r.stop()
	require.NoError(t, <-r.served)
}

// TestServerLimitsConnections has the second connection wait for the first.
func TestServerLimitsConnections(t *testing.T) {
	r := serve(t, &bounce.ServerOptions{MaxConnections: 1})
	first, err := smtp.Dial(r.address)
	require.NoError(t, err)
	greeted := make(chan error, 1)
	go func() {
		second, err := smtp.Dial(r.address)
		if err == nil {
			err = second.Quit()
		}
		greeted <- err
	}()
	require.NoError(t, first.Mail(""))
	require.Empty(t, greeted)
	require.NoError(t, first.Quit())
	require.NoError(t, <-greeted)
}

func TestServerEndsWithListener(t *testing.T) {
	server, err := bounce.NewServer(func(string) bool { return true }, (&receiver{}).handle, nil)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.ErrorIs(t, server.Serve(t.Context(), listener), net.ErrClosed)
}

func TestNewServerFaults(t *testing.T) {
	_, err := bounce.NewServer(nil, nil, &bounce.ServerOptions{MaxMessage: -1})
	for _, want := range []string{"accept is nil", "handle is nil", "MaxMessage is negative"} {
		require.ErrorContains(t, err, want)
	}
}

// TestServerCutShort: a mail that its client did not send to the end is not handed
// to the host. The client will send it again.
func TestServerCutShort(t *testing.T) {
	for _, said := range []string{"BDAT 4000 LAST\r\n" + postfixReport[:1000], "BDAT 4\r\nX: yBDAT 4000 LAST\r\n" + postfixReport[:1000], "DATA\r\n" + postfixReport[:1000]} {
		r := serve(t, nil)
		c, err := net.Dial("tcp", r.address)
		require.NoError(t, err)
		_, err = io.WriteString(c, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n"+said)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		_, _ = io.Copy(io.Discard, c) // may be reset
		require.NoError(t, c.Close())
		r.stop()
		require.NoError(t, <-r.served)
		require.Empty(t, r.received(), "%q", said[:20])
	}
}
