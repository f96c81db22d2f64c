package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// requirePromptCancel: cancelled while the server is silent, send returns at once
// with the cause, and nothing was tried. It runs in a bubble, on a clock of its own.
func requirePromptCancel(t *testing.T, send func(context.Context) (*smtp.Result, error)) {
	t.Helper()
	errGone := errors.New("caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, func() { cancel(errGone) })
	defer timer.Stop()
	start := time.Now()
	result, err := send(ctx)
	require.Equal(t, 50*time.Millisecond, time.Since(start))
	require.ErrorIs(t, err, errGone)
	require.Equal(t, "not tried", statuses(result))
}

// silences are the moments at which a server can stop answering or reading.
var silences = map[string]func(p *wire){
	"greeting": func(p *wire) { p.wait() },
	"EHLO":     func(p *wire) { p.say("220 hi"); p.wait() },
	"MAIL":     func(p *wire) { p.greet(); p.wait() },
	"RCPT": func(p *wire) {
		p.greet()
		p.hear("MAIL")
		p.say("250 ok")
		p.wait()
	},
	"DATA": func(p *wire) {
		p.greet()
		p.hear("MAIL")
		p.say("250 ok")
		p.hear("RCPT")
		p.say("250 ok")
		p.wait()
	},
	"pipelined DATA": func(p *wire) { p.greet("PIPELINING"); p.hear("DATA"); p.wait() },
	"BDAT":           func(p *wire) { p.greet("PIPELINING", "CHUNKING"); p.hear("RCPT"); p.wait() },
}

// stalls are the moments at which a server can stop reading in the body.
var stalls = map[string]func(p *wire){
	"body of DATA": func(p *wire) {
		p.greet()
		p.hear("MAIL")
		p.say("250 ok")
		p.hear("RCPT")
		p.say("250 ok")
		p.hear("DATA")
		p.say("354 go on")
		p.hear("From:")
	},
	"body of BDAT": func(p *wire) {
		p.greet("CHUNKING")
		p.hear("MAIL")
		p.say("250 ok")
		p.hear("RCPT")
		p.say("250 ok")
		p.hear("BDAT")
	},
}

func TestCancelIsPrompt(t *testing.T) {
	t.Parallel()
	for name, script := range silences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newWireServer(t, script)
				relay := newRelay(t, server, smtp.RelayOptions{})
				requirePromptCancel(t, func(ctx context.Context) (*smtp.Result, error) { return relay.Send(ctx, letter(hello)) })
				server.wg.Wait() // the connection was closed
			})
		})
	}
	for name, script := range stalls {
		for _, text := range []string{long(100 << 10), long(2 << 20)} {
			t.Run(fmt.Sprint(name, " of ", len(text)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					defer close(release)
					server := newWireServer(t, func(p *wire) { script(p); <-release })
					relay := newRelay(t, server, smtp.RelayOptions{})
					requirePromptCancel(t, func(ctx context.Context) (*smtp.Result, error) { return relay.Send(ctx, letter(text)) })
				})
			})
		}
	}
}

func TestCancelledBeforeSend(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) { t.Error("no connection was needed") })
	relay := newRelay(t, server, smtp.RelayOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result, err := relay.Send(ctx, letter(hello))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "not tried", statuses(result))
}

// phaseTimeouts differ for each phase.
var phaseTimeouts = smtp.Timeouts{
	Greeting: 1 * time.Minute, Command: 2 * time.Minute, Data: 3 * time.Minute,
	Block: 4 * time.Minute, EndOfData: 5 * time.Minute, Linger: 6 * time.Second,
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	want := map[string]time.Duration{
		"greeting": 1 * time.Minute, "EHLO": 2 * time.Minute, "MAIL": 2 * time.Minute, "RCPT": 2 * time.Minute,
		"DATA": 3 * time.Minute, "pipelined DATA": 2 * time.Minute, "BDAT": 2 * time.Minute,
		"body of DATA": 4 * time.Minute, "body of BDAT": 4 * time.Minute,
	}
	scripts := maps.Clone(silences)
	maps.Copy(scripts, stalls)
	for name, script := range scripts {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			server := newWireServer(t, func(p *wire) { script(p); <-release })
			relay := newRelay(t, server, smtp.RelayOptions{Timeouts: phaseTimeouts})
			start := time.Now()
			result, err := relay.Send(t.Context(), letter(long(2<<20)))
			require.ErrorContains(t, err, "timeout", name)
			require.Equal(t, "deferred", statuses(result), name)
			require.InDelta(t, want[name], time.Since(start), float64(6*time.Second), name)
			require.NotErrorIs(t, err, smtp.ErrIndeterminate)
		})
	}
}

func TestDefaultTimeouts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]time.Duration{
		"greeting": 5 * time.Minute, "EHLO": 5 * time.Minute, "MAIL": 5 * time.Minute, "RCPT": 5 * time.Minute,
		"DATA": 2 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			relay := newRelay(t, newWireServer(t, silences[name]), smtp.RelayOptions{})
			start := time.Now()
			_, err := relay.Send(t.Context(), letter(hello))
			require.ErrorContains(t, err, "timeout", name)
			require.Equal(t, want, time.Since(start), name)
		})
	}
}

// silentAfterDot takes the whole message and says nothing.
func silentAfterDot(p *wire) {
	p.greet()
	for _, verb := range []string{"MAIL", "RCPT"} {
		p.hear(verb)
		p.say("250 ok")
	}
	p.hear("DATA")
	p.say("354 go on")
	p.body()
	p.wait()
}

func TestNoAnswerAfterTheDot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		relay := newRelay(t, newWireServer(t, silentAfterDot), smtp.RelayOptions{})
		start := time.Now()
		result, err := relay.Send(t.Context(), letter(hello))
		require.ErrorIs(t, err, smtp.ErrIndeterminate)
		require.Equal(t, "indeterminate", statuses(result))
		require.Equal(t, 10*time.Minute, time.Since(start))
	})
}

// TestCancelAfterTheDot: Send goes on waiting for the answer, for a while.
func TestCancelAfterTheDot(t *testing.T) {
	t.Parallel()
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			relay := newRelay(t, newWireServer(t, silentAfterDot), smtp.RelayOptions{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			result, err := relay.Send(ctx, letter(hello))
			require.ErrorIs(t, err, smtp.ErrIndeterminate)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, "indeterminate", statuses(result))
			require.Equal(t, 31*time.Second, time.Since(start))
		})
	})
	t.Run("answer in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			relay := newRelay(t, newWireServer(t, func(p *wire) {
				p.greet()
				p.serve(func(command, _ string) string {
					if command == "." {
						time.Sleep(5 * time.Second)
					}
					return ""
				})
			}), smtp.RelayOptions{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			result, err := relay.Send(ctx, letter(hello))
			require.NoError(t, err)
			require.Equal(t, "accepted", statuses(result))
		})
	})
}

// TestLostConnection: what became of a message when the connection ends at this
// octet of it, over a connection that tells how much the server has read.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	stuffed := strings.ReplaceAll(hello, "\n.", "\n..")
	whole := len(stuffed + ".\r\n")
	for _, c := range []struct {
		octets int
		want   string
	}{{0, "deferred"}, {10, "deferred"}, {whole - 3, "deferred"}, {whole - 1, "deferred"}, {whole, "indeterminate"}} {
		t.Run(fmt.Sprint(c.octets, " of ", whole), func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet()
				for _, verb := range []string{"MAIL", "RCPT"} {
					p.hear(verb)
					p.say("250 ok")
				}
				p.hear("DATA")
				p.say("354 go on")
				// Not through the buffer, which would read on.
				_, _ = io.ReadFull(p.conn, make([]byte, c.octets))
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), letter(hello))
			require.Error(t, err)
			require.Equal(t, c.want, statuses(result))
			require.Equal(t, c.want == "indeterminate", errors.Is(err, smtp.ErrIndeterminate))
			require.Equal(t, 1, server.dialed(), "it was the first message: no second connection")
		})
	}
}

// TestLostConnectionInChunk is the same for BDAT.
func TestLostConnectionInChunk(t *testing.T) {
	t.Parallel()
	for octets, want := range map[int]string{0: "deferred", len(hello) - 1: "deferred", len(hello): "indeterminate"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet("CHUNKING")
				for _, verb := range []string{"MAIL", "RCPT"} {
					p.hear(verb)
					p.say("250 ok")
				}
				_, _ = io.ReadFull(p.conn, make([]byte, len(fmt.Sprintf("BDAT %d LAST\r\n", len(hello)))+octets))
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), letter(hello))
			require.Error(t, err)
			require.Equal(t, want, statuses(result))
		})
	}
}

// TestTroubleAfterAcceptance: what happens after the 250 changes nothing.
func TestTroubleAfterAcceptance(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(p *wire){
		"EOF":     func(p *wire) {},
		"421":     func(p *wire) { p.say("421 going down") },
		"garbage": func(p *wire) { p.say("HTTP/1.1 200 OK") },
		"silence": func(p *wire) { p.wait() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet()
				done := false
				p.serve(func(command, _ string) string {
					if command == "." {
						done = true
						p.say("250 2.0.0 Ok: queued as 4XyZ")
						trouble(p)
						return "-"
					}
					return ""
				})
				require.True(p.t, done)
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err)
			require.Equal(t, "accepted", statuses(result))
		})
	}
}

// TestDripFeed: a server that sends its reply octet by octet gains no time by it.
func TestDripFeed(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"greeting", "MAIL"} {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) {
				if step == "MAIL" {
					p.greet()
					p.hear("MAIL")
				}
				for {
					if _, err := p.conn.Write([]byte("2")); err != nil {
						return
					}
					time.Sleep(time.Minute)
				}
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			start := time.Now()
			_, err := relay.Send(t.Context(), letter(hello))
			require.ErrorContains(t, err, "timeout")
			require.Equal(t, 5*time.Minute, time.Since(start), step)
		})
	}
}
