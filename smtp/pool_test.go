package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// TestDeadIdleConnection: a connection that the server closed while it was idle is
// never handed out.
func TestDeadIdleConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *wire){
		"EOF":     func(p *wire) {},
		"421":     func(p *wire) { p.say("421 4.4.2 Idle too long"); p.wait() },
		"garbage": func(p *wire) { p.say("hello?"); p.wait() },
	} {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) {
				p.greet()
				p.serve(func(command, _ string) string {
					if command == "." && p.n == 0 {
						p.say("250 ok")
						time.Sleep(time.Second)
						end(p)
						return "-"
					}
					return ""
				})
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			_, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err, name)
			require.Equal(t, 1, relay.Stats().Open, name)
			time.Sleep(2 * time.Second)
			require.Zero(t, relay.Stats().Open, name)
			result, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err, name)
			require.False(t, result.Recipients[0].Session.Reused, name)
			require.Equal(t, 2, server.dialed(), name)
		})
	}
}

// TestRedial: when a connection that was used before ends while nothing can have
// been accepted, the message goes out once more, on a new one.
func TestRedial(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		for _, step := range []string{"MAIL", "RCPT", "DATA"} {
			for _, end := range []string{"-", "421 4.3.2 Shutting down"} {
				if strings.Contains(name, "BDAT") && step == "DATA" || end != "-" && step != "MAIL" {
					continue
				}
				t.Run(name+" "+step+" "+end, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						server := newWireServer(t, func(p *wire) {
							p.greet(extensions...)
							n := 0
							p.serve(func(command, _ string) string {
								if command == "." {
									n++
								}
								if n == 1 && p.n == 0 && strings.HasPrefix(command, step) {
									return end
								}
								return ""
							})
						})
						relay := newRelay(t, server, smtp.RelayOptions{})
						_, err := relay.Send(t.Context(), letter(hello))
						require.NoError(t, err)
						time.Sleep(3 * time.Second) // so that the next is not sent in one flight
						result, err := relay.Send(t.Context(), letter(hello))
						require.NoError(t, err)
						require.Equal(t, "accepted", statuses(result))
						require.Equal(t, 2, server.dialed())
					})
				})
			}
		}
	}
}

// TestNoRedialAfterTheEnd: once the message went out, it is not sent again.
func TestNoRedialAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				n := 0
				p.serve(func(command, _ string) string {
					if command == "." {
						if n++; n == 2 {
							return "-"
						}
					}
					return ""
				})
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			_, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err)
			result, err := relay.Send(t.Context(), letter(hello))
			require.ErrorIs(t, err, smtp.ErrIndeterminate)
			require.Equal(t, "indeterminate", statuses(result))
			require.Equal(t, 1, server.dialed())
		})
	}
}

// TestFreeOnceAnswered: whoever has an outcome finds its connection free, so that
// one caller never opens a second one.
func TestFreeOnceAnswered(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { p.greet(extensions...); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxInFlight: 1}})
			ctx, cancel := context.WithCancel(t.Context())
			var crowd sync.WaitGroup
			defer crowd.Wait()
			defer cancel()
			crowd.Go(func() { // what the pool learns late, it learns later in a crowd
				for ctx.Err() == nil {
					relay.Stats()
				}
			})
			for range 50 {
				_, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
				require.Zero(t, relay.Stats().Busy)
			}
			require.Equal(t, 1, server.dialed())
		})
	}
}

func TestPoolLimits(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{IdleTimeout: time.Minute}})
			for range 3 {
				_, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
				time.Sleep(59 * time.Second)
				require.Equal(t, 1, relay.Stats().Open)
			}
			time.Sleep(2 * time.Second)
			require.Zero(t, relay.Stats().Open)
			require.True(t, strings.HasSuffix(server.received(0), "QUIT\r\n"))
			require.Equal(t, 1, server.dialed())
		})
	})
	t.Run("age", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxAge: time.Minute}})
			for range 9 {
				_, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
				time.Sleep(25 * time.Second)
			}
			require.Equal(t, 3, server.dialed())
		})
	})
	t.Run("messages", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxMessages: 4}})
			for range 9 {
				_, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
			}
			require.Equal(t, 3, server.dialed())
		})
	})
	t.Run("connections", func(t *testing.T) {
		t.Parallel()
		var open, most atomic.Int64
		server := newWireServer(t, func(p *wire) {
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer open.Add(-1)
			p.greet()
			p.serve(accept)
		})
		relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 3}})
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() {
				_, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.LessOrEqual(t, most.Load(), int64(3))
		require.EqualValues(t, 60, relay.Stats().Sent)
	})
}

// TestPoolHeals: connections that fail, hang or are cancelled give their places back.
func TestPoolHeals(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		switch p.n % 4 {
		case 0:
			return
		case 1:
			p.greet()
			p.hear("MAIL")
			return
		case 2:
			p.greet()
			p.wait()
		default:
			p.greet("PIPELINING", "CHUNKING")
			p.serve(accept)
		}
	})
	relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 2, MaxMessages: 2}})
	send := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := relay.Send(ctx, letter(hello))
		return err == nil
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { send() })
	}
	wg.Wait()
	require.Zero(t, relay.Stats().Waiting)
	require.Eventually(t, send, 10*time.Second, time.Millisecond)
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("lets messages end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) {
				p.greet()
				p.serve(func(command, _ string) string {
					if command == "." {
						time.Sleep(time.Minute)
					}
					return ""
				})
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			sent := make(chan error)
			go func() {
				_, err := relay.Send(t.Context(), letter(hello))
				sent <- err
			}()
			time.Sleep(time.Second)
			stopped := make(chan error)
			go func() { stopped <- relay.Shutdown(t.Context()) }()
			time.Sleep(time.Second)
			result, err := relay.Send(t.Context(), letter(hello))
			require.ErrorIs(t, err, smtp.ErrClosed)
			require.Equal(t, "not tried", statuses(result))
			require.NoError(t, <-sent)
			require.NoError(t, <-stopped)
			require.True(t, strings.HasSuffix(server.received(0), "QUIT\r\n"))
		})
	})
	t.Run("and stops waiting with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, silentAfterDot)
			relay := newRelay(t, server, smtp.RelayOptions{})
			sent := make(chan *smtp.Result)
			go func() {
				result, _ := relay.Send(t.Context(), letter(hello))
				sent <- result
			}()
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.ErrorIs(t, relay.Shutdown(ctx), context.DeadlineExceeded)
			require.Equal(t, "indeterminate", statuses(<-sent))
		})
	})
	t.Run("turns away who waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newWireServer(t, silentAfterDot)
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
			sent := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := relay.Send(t.Context(), letter(hello))
					sent <- err
				}()
			}
			synctest.Wait()
			require.Equal(t, 1, relay.Stats().Waiting)
			require.NoError(t, relay.Close())
			first, second := <-sent, <-sent
			require.True(t, errors.Is(first, smtp.ErrClosed) && errors.Is(second, smtp.ErrClosed), "%v, %v", first, second)
		})
	})
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, dialerFunc(func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	}), smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
	for range 3 {
		result, err := relay.Send(t.Context(), letter(hello))
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "deferred", statuses(result))
		require.ErrorContains(t, err, "smtp: connect localhost: ")
	}
}

type dialerFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialerFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

// TestFlights: concurrent callers share one connection, each with its own message,
// recipients and answer, whatever the server can do.
func TestFlights(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			got := map[string]string{} // recipient: message
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				var to []string
				p.serve(strictly(func(command, body string) string {
					switch {
					case strings.HasPrefix(command, "MAIL"):
						to = nil
						if strings.Contains(command, "spam") {
							return "550 5.7.1 Spam"
						}
					case strings.HasPrefix(command, "RCPT"):
						if strings.Contains(command, "nadie") {
							return "550 5.1.1 No such user"
						}
						to = append(to, strings.TrimSuffix(strings.TrimPrefix(command, "RCPT TO:<"), ">"))
					case command == ".":
						if strings.Contains(body, "late") {
							return "451 4.3.0 Not now"
						}
						mu.Lock()
						defer mu.Unlock()
						for _, addr := range to {
							got[addr] += body
						}
						return "250 2.0.0 Ok: queued as " + to[0]
					}
					return ""
				}))
			})
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
			var wg sync.WaitGroup
			for caller := range 16 {
				wg.Go(func() {
					for i := range 40 {
						id := fmt.Sprintf("u%d.%d@example.com", caller, i)
						m := letter(hello+id+"\r\n", id)
						want := "accepted"
						switch i % 8 {
						case 1:
							m.From, want = "spam@example.com", "rejected"
						case 2:
							m.To[0].Addr, want = "nadie@example.com", "rejected"
						case 3:
							m.To = append(m.To, smtp.Recipient{Addr: "nadie@example.com"})
							want = "accepted, rejected"
						case 4:
							m.Content, want = smtp.Bytes([]byte(hello+"late\r\n")), "deferred"
						case 5:
							m.Content = smtp.Bytes([]byte(hello + id + "\r\n" + strings.Repeat("relleno\r\n", 200*caller)))
						}
						result, err := relay.Send(t.Context(), m)
						require.Equal(t, want, statuses(result), "%v", err)
						if result.Recipients[0].Status == smtp.Accepted {
							require.Equal(t, strings.TrimSuffix(id, "."), result.Recipients[0].QueueID)
						}
					}
				})
			}
			wg.Wait()
			require.Equal(t, 1, server.dialed())
			for addr, text := range got {
				require.NotContains(t, addr, "nadie")
				require.Equal(t, 1, strings.Count(text, addr), "%s got its message once", addr)
				require.Equal(t, 1, strings.Count(text, "From:"))
			}
			require.Len(t, got, 16*40*5/8)
		})
	}
}

// TestFlightsAndTrouble: connections that end at any moment, callers that cancel:
// what is said to be accepted was, once; what is said to be safe to send again
// was not.
func TestFlightsAndTrouble(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			taken := map[string]int{}
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				id, n := "", 0
				p.serve(strictly(func(command, body string) string {
					if n++; n > 40+p.n%60 {
						return "-"
					}
					switch {
					case strings.HasPrefix(command, "RCPT"):
						id = command
					case command == ".":
						mu.Lock()
						taken[id]++
						mu.Unlock()
					}
					return ""
				}))
			})
			relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 2}, Timeouts: smtp.Timeouts{Linger: -1}})
			var wg sync.WaitGroup
			var accepted, unsure atomic.Int64
			for caller := range 8 {
				wg.Go(func() {
					for i := range 60 {
						ctx, cancel := context.WithCancel(t.Context())
						if i%10 == 9 {
							go cancel()
						}
						addr := fmt.Sprintf("u%d.%d@example.com", caller, i)
						result, _ := relay.Send(ctx, letter(hello, addr))
						cancel()
						mu.Lock()
						n := taken["RCPT TO:<"+addr+">"]
						mu.Unlock()
						switch result.Recipients[0].Status {
						case smtp.Accepted:
							accepted.Add(1)
							require.Equal(t, 1, n)
						case smtp.Indeterminate:
							unsure.Add(1)
							require.LessOrEqual(t, n, 1)
						default:
							require.Zero(t, n, "%v", result.Recipients[0].Err)
						}
					}
				})
			}
			wg.Wait()
			require.Positive(t, accepted.Load())
			t.Log("accepted", accepted.Load(), "indeterminate", unsure.Load(), "connections", server.dialed())
		})
	}
}

// TestWindow: it starts at one, opens with clean answers, and closes when a
// connection breaks under messages.
func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most atomic.Int64
		var breakNow atomic.Bool
		server := newWireServer(t, func(p *wire) {
			p.greet("PIPELINING", "CHUNKING")
			p.serve(func(command, _ string) string {
				if breakNow.Load() {
					return "-"
				}
				if command == "." {
					time.Sleep(time.Second)
				}
				return ""
			})
		})
		relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1, MaxInFlight: 4}})
		send := func(n int) (results []*smtp.Result) {
			results = make([]*smtp.Result, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					inFlight.Add(1)
					results[i], _ = relay.Send(t.Context(), letter(hello))
					inFlight.Add(-1)
				})
			}
			synctest.Wait()
			most.Store(int64(n - relay.Stats().Waiting))
			wg.Wait()
			return results
		}
		send(10)
		require.EqualValues(t, 1, most.Load())
		send(10)
		require.EqualValues(t, 4, most.Load())
		breakNow.Store(true)
		unsure := 0
		for _, result := range send(10) {
			if result.Recipients[0].Status == smtp.Indeterminate {
				unsure++
			}
		}
		require.LessOrEqual(t, unsure, 4)
		breakNow.Store(false)
		send(10)
		require.EqualValues(t, 1, most.Load())
	})
}

// TestFairness: callers are served in the order in which they came.
func TestFairness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		server := newWireServer(t, func(p *wire) {
			p.greet()
			p.serve(func(command, _ string) string {
				if strings.HasPrefix(command, "RCPT") {
					order = append(order, command)
					time.Sleep(time.Second)
				}
				return ""
			})
		})
		relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
		var wg sync.WaitGroup
		var want []string
		for i := range 8 {
			addr := fmt.Sprintf("u%d@example.com", i)
			want = append(want, "RCPT TO:<"+addr+">")
			text := hello
			if i == 3 {
				text = long(600 << 10) // needs the connection for itself
			}
			wg.Go(func() {
				_, err := relay.Send(t.Context(), letter(text, addr))
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		wg.Wait()
		require.Equal(t, want, order)
	})
}

// TestCancelHarmsNobody: a caller that goes while others are in flight on the same
// connection takes none of them along.
func TestCancelHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		if !strings.Contains(name, "pipelined") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newWireServer(t, func(p *wire) {
					p.greet(extensions...)
					p.serve(func(command, _ string) string {
						if command == "." || strings.HasPrefix(command, "RCPT") {
							time.Sleep(time.Second)
						}
						return ""
					})
				})
				relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
				for range 8 { // open the window
					_, err := relay.Send(t.Context(), letter(hello))
					require.NoError(t, err)
				}
				var wg sync.WaitGroup
				for i := range 24 {
					wg.Go(func() {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						if i%3 == 1 {
							time.AfterFunc(time.Duration(i)*300*time.Millisecond, cancel)
						}
						result, err := relay.Send(ctx, letter(hello))
						if i%3 != 1 {
							require.NoError(t, err)
							require.Equal(t, "accepted", statuses(result))
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// TestCancelOfWhatWaits: a caller that cancels while its message waits behind those
// of others, which the server does not read, goes at once and leaves no trace.
func TestCancelOfWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var box inbox
		resume := make(chan struct{})
		stop := false
		server := newWireServer(t, func(p *wire) {
			p.greet("PIPELINING", "CHUNKING")
			p.serve(strictly(func(command, body string) string {
				if stop {
					<-resume
				}
				return box.answer(command, body)
			}))
		})
		relay := newRelay(t, server, smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 1}})
		for range 8 {
			_, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err)
		}
		stop = true
		var wg sync.WaitGroup
		for i := range 6 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%2+1)*time.Minute)
			wg.Go(func() {
				defer cancel()
				result, err := relay.Send(ctx, letter(hello+fmt.Sprint(i)+"\r\n"))
				switch i {
				case 2, 4:
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, "not tried", statuses(result))
				case 0:
					require.Equal(t, "indeterminate", statuses(result), "it was on its way")
				default:
					require.NoError(t, err)
				}
			})
			synctest.Wait()
		}
		time.Sleep(100 * time.Second)
		stop = false
		close(resume)
		wg.Wait()
		all := strings.Join(box.all(), "")
		require.Equal(t, 4, len(box.all())-8)
		for _, sent := range []string{"0", "1", "3", "5"} {
			require.Equal(t, 1, strings.Count(all, hello+sent+"\r\n"))
		}
		require.Equal(t, 1, server.dialed())
	})
}
