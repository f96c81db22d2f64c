package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// company is some workers on one store, and what all of them together send.
type company struct {
	*office
	shaping queue.Shaping
	takes   time.Duration // an attempt

	mu      sync.Mutex // guards what follows
	sending map[string]int
	most    map[string]int // at the same time, by domain
	sent    map[string][]time.Time
	by      map[*colleague]int
}

// colleague is one of the workers.
type colleague struct {
	*queue.Queue
	company *company
	store   *flaky
	stop    context.CancelFunc
	ended   chan error
}

func newCompany(t *testing.T, shaping queue.Shaping, takes time.Duration, test func(t *testing.T, c *company)) {
	t.Helper()
	open(t, nil, nil, func(t *testing.T, o *office) {
		c := &company{office: o, shaping: shaping, takes: takes, sending: map[string]int{}, most: map[string]int{}, sent: map[string][]time.Time{}, by: map[*colleague]int{}}
		test(t, c)
	})
}

// join runs another worker.
func (c *company) join() *colleague {
	k := &colleague{company: c, store: &flaky{Store: c.store}, ended: make(chan error, 1)}
	var err error
	k.Queue, err = queue.New(k.store, k, c.tracker, &queue.Options{Shaping: c.shaping, DrainTimeout: time.Hour})
	require.NoError(c.t, err)
	var ctx context.Context
	ctx, k.stop = context.WithCancel(c.t.Context())
	go func() { k.ended <- k.Run(ctx) }()
	return k
}

// leave ends workers, in order.
func (c *company) leave(colleagues ...*colleague) {
	for _, k := range colleagues {
		k.stop()
		require.NoError(c.t, <-k.ended)
	}
}

// Send takes a while, and counts.
func (k *colleague) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	c := k.company
	_, domain, _ := strings.Cut(m.To[0].Addr, "@")
	c.mu.Lock()
	c.sending[domain]++
	c.most[domain] = max(c.most[domain], c.sending[domain])
	c.sent[domain] = append(c.sent[domain], time.Now())
	c.by[k]++
	c.mu.Unlock()
	time.Sleep(c.takes)
	c.mu.Lock()
	c.sending[domain]--
	c.mu.Unlock()
	return carrier(accept).Send(ctx, m)
}

// during returns how many each worker sends in a time, and the most at the same time.
func (c *company) during(d time.Duration, domain string) (by map[*colleague]int, most int) {
	c.mu.Lock()
	clear(c.by)
	c.most[domain] = c.sending[domain]
	c.mu.Unlock()
	time.Sleep(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	by = map[*colleague]int{}
	for k, n := range c.by {
		by[k] = n
	}
	return by, c.most[domain]
}

// fill queues mail to a domain.
func (c *company) fill(n int, domain string) {
	_, err := c.SendAll(c.t.Context(), &queue.Mailing{Template: c.compile(&tracking.Message{})}, many(n, domain))
	require.NoError(c.t, err)
}

// shares are the connections that each of the workers may have to a domain now.
func shares(domain string, colleagues ...*colleague) (n []int) {
	for _, k := range colleagues {
		for _, p := range k.Pools() {
			if p.Name == domain && p.Workers == len(colleagues) {
				n = append(n, p.Allowed)
			}
		}
	}
	slices.Sort(n)
	return n
}

// flaky is a store that can be cut off from a worker.
type flaky struct {
	*memqueue.Store
	deaf     atomic.Bool // no heartbeats
	dead     atomic.Bool // nothing at all
	slow     atomic.Bool // claims take until nobody counts on the worker any more
	extended atomic.Int64
}

func (f *flaky) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
	if f.deaf.Load() || f.dead.Load() {
		<-ctx.Done() // as when packets get lost
		return nil, time.Time{}, context.Cause(ctx)
	}
	return f.Store.Heartbeat(ctx, w, ttl)
}

func (f *flaky) Leave(ctx context.Context, id tracking.ID) error {
	if f.deaf.Load() || f.dead.Load() {
		return errDisk
	}
	return f.Store.Leave(ctx, id)
}

func (f *flaky) Claim(ctx context.Context, now, until time.Time, c []queue.FlowClaim) ([]queue.Lease, error) {
	if f.dead.Load() {
		return nil, errDisk
	}
	leases, err := f.Store.Claim(ctx, now, until, c)
	if f.slow.Load() && len(leases) > 0 {
		time.Sleep(20 * time.Second)
	}
	return leases, err
}

func (f *flaky) Settle(ctx context.Context, c []queue.Change) ([]tracking.ID, error) {
	if f.dead.Load() {
		return nil, errDisk
	}
	for _, change := range c {
		if !change.Extend.IsZero() {
			f.extended.Add(1)
		}
	}
	return f.Store.Settle(ctx, c)
}

// soon is within which workers know of each other.
const soon = 5 * time.Second

// TestConnectionsOfAllWorkers: however many workers come and go, together they have as
// many connections as one would.
func TestConnectionsOfAllWorkers(t *testing.T) {
	shaping := queue.Shaping{Providers: []queue.Provider{{Name: "grande", Domains: []string{"correo.example"}, Limit: queue.Limit{Connections: 10}}}}
	newCompany(t, shaping, 300*time.Millisecond, func(t *testing.T, c *company) {
		c.fill(5000, "correo.example")
		started := time.Now()
		a := c.join()
		_, most := c.during(soon, "correo.example")
		require.Equal(t, started, c.sent["correo.example"][0], "who is alone waits for nobody")
		require.Equal(t, 10, most)
		b := c.join()
		_, most = c.during(soon, "correo.example")
		require.LessOrEqual(t, most, 10, "while b joins")
		require.Equal(t, []int{5, 5}, shares("grande", a, b))
		d := c.join()
		_, most = c.during(soon, "correo.example")
		require.LessOrEqual(t, most, 10, "while d joins")
		require.Equal(t, []int{3, 3, 4}, shares("grande", a, b, d))
		by, most := c.during(10*time.Second, "correo.example")
		require.Equal(t, 10, most)
		require.Len(t, by, 3)
		for _, n := range by {
			require.Greater(t, n, 90, "of about 333")
		}
		c.leave(b)
		_, most = c.during(soon, "correo.example")
		require.LessOrEqual(t, most, 10, "while b leaves")
		require.Equal(t, []int{5, 5}, shares("grande", a, d))
		c.leave(a)
		time.Sleep(soon)
		require.Equal(t, []int{10}, shares("grande", d))
		_, most = c.during(soon, "correo.example")
		require.Equal(t, 10, most)
		c.leave(d)
	})
}

// TestRateOfAllWorkers: no second in which all workers together send more than one may.
func TestRateOfAllWorkers(t *testing.T) {
	const rate = 10
	for name, shaping := range map[string]queue.Shaping{
		"Lane":  {Lane: queue.Limit{PerSecond: rate}},
		"Total": {Total: queue.Limit{PerSecond: rate}},
	} {
		t.Run(name, func(t *testing.T) {
			newCompany(t, shaping, 50*time.Millisecond, func(t *testing.T, c *company) {
				c.fill(5000, "correo.example")
				a := c.join()
				time.Sleep(soon)
				b, d := c.join(), c.join()
				time.Sleep(soon)
				by, _ := c.during(20*time.Second, "correo.example")
				require.Len(t, by, 3)
				require.Greater(t, by[a]+by[b]+by[d], 18*rate, "what is allowed is used")
				c.leave(a)
				time.Sleep(soon)
				by, _ = c.during(20*time.Second, "correo.example")
				require.Greater(t, by[b]+by[d], 18*rate)
				c.leave(d, b)
				sent := c.sent["correo.example"]
				for i := range sent[rate:] {
					require.GreaterOrEqual(t, sent[i+rate].Sub(sent[i]), time.Second, "%d in a second", rate+1)
				}
			})
		})
	}
}

// TestLimitOfOne: what only one worker can have at a time is divided by giving each
// some of the domains.
func TestLimitOfOne(t *testing.T) {
	newCompany(t, queue.Shaping{Lane: queue.Limit{Connections: 1}}, 100*time.Millisecond, func(t *testing.T, c *company) {
		const domains = 30
		for i := range domains {
			c.fill(100, fmt.Sprintf("empresa%d.example", i))
		}
		a, b := c.join(), c.join()
		by, _ := c.during(30*time.Second, "")
		require.Greater(t, by[a], domains*100/5)
		require.Greater(t, by[b], domains*100/5)
		for _, p := range a.Pools() {
			require.False(t, p.Elsewhere && p.Sending > 0)
		}
		c.leave(a, b)
		for i := range domains {
			domain := fmt.Sprintf("empresa%d.example", i)
			require.Len(t, c.sent[domain], 100)
			require.Equal(t, 1, c.most[domain])
		}
	})
}

// TestDeadWorker: the others have its share, and its jobs, after a while.
func TestDeadWorker(t *testing.T) {
	newCompany(t, queue.Shaping{Lane: queue.Limit{Connections: 10}}, 2*time.Second, func(t *testing.T, c *company) {
		c.fill(600, "correo.example")
		a, b := c.join(), c.join()
		time.Sleep(soon)
		a.store.dead.Store(true)
		died := time.Now()
		time.Sleep(10 * time.Second)
		require.Equal(t, []int{10}, shares("correo.example", b))
		_, most := c.during(soon, "correo.example")
		require.Equal(t, 10, most)
		for {
			stats, err := c.Stats(t.Context())
			require.NoError(t, err)
			if stats.ByState[queue.Delivered] == 600 {
				break
			}
			require.Less(t, time.Since(died), 4*time.Minute)
			time.Sleep(time.Second)
		}
		require.Greater(t, len(c.sent["correo.example"]), 600, "what it had begun is sent again")
		require.LessOrEqual(t, len(c.sent["correo.example"]), 605)
		c.leave(b)
		a.stop()
		<-a.ended
	})
}

// TestUnheardWorker: a worker that cannot be heard stops, as the others do its work. It
// comes back when it is heard again.
func TestUnheardWorker(t *testing.T) {
	newCompany(t, queue.Shaping{Lane: queue.Limit{Connections: 10, PerSecond: 30}}, 200*time.Millisecond, func(t *testing.T, c *company) {
		c.fill(10_000, "correo.example")
		a, b := c.join(), c.join()
		time.Sleep(soon)
		a.store.deaf.Store(true)
		by, most := c.during(10*time.Second, "correo.example")
		require.LessOrEqual(t, most, 10)
		require.NotZero(t, by[a], "it goes on for some seconds")
		by, most = c.during(20*time.Second, "correo.example")
		require.Zero(t, by[a])
		require.Greater(t, by[b], 500, "at 30 a second")
		require.LessOrEqual(t, most, 10)
		a.store.deaf.Store(false)
		_, most = c.during(soon, "correo.example")
		require.LessOrEqual(t, most, 10)
		require.Equal(t, []int{5, 5}, shares("correo.example", a, b))
		by, _ = c.during(10*time.Second, "correo.example")
		require.Greater(t, by[a], 100)
		c.leave(a, b)
		sent := c.sent["correo.example"]
		for i := range sent[30:] {
			require.GreaterOrEqual(t, sent[i+30].Sub(sent[i]), time.Second)
		}
	})
}

// TestClaimThatTookTooLong: what a worker has claimed and may not send any more is put
// back, and sent by the others.
func TestClaimThatTookTooLong(t *testing.T) {
	newCompany(t, queue.Shaping{Lane: queue.Limit{Connections: 1}}, 100*time.Millisecond, func(t *testing.T, c *company) {
		a := c.join()
		time.Sleep(time.Second)
		a.store.slow.Store(true)
		a.store.deaf.Store(true)
		c.fill(1, "correo.example")
		time.Sleep(2 * time.Second)
		b := c.join()
		by, _ := c.during(time.Minute, "correo.example")
		require.Equal(t, map[*colleague]int{b: 1}, by)
		c.leave(a, b)
	})
}

// TestDrainingWorkerIsCounted: until its last attempt has ended, the others leave it
// its share.
func TestDrainingWorkerIsCounted(t *testing.T) {
	newCompany(t, queue.Shaping{Lane: queue.Limit{Connections: 10}}, 8*time.Second, func(t *testing.T, c *company) {
		c.fill(1000, "correo.example")
		a := c.join()
		time.Sleep(time.Second)
		b := c.join()
		_, most := c.during(30*time.Second, "correo.example")
		require.Equal(t, 10, most, "b waits until what a has begun fits")
		a.stop()
		_, most = c.during(time.Minute, "correo.example")
		require.Equal(t, 10, most)
		c.leave(a, b)
	})
}

// TestLongAttempt: an attempt keeps its lease however long it takes, and a short one
// costs no more than before.
func TestLongAttempt(t *testing.T) {
	for takes, extensions := range map[time.Duration]int64{time.Hour: 100, 20 * time.Second: 0} {
		t.Run(takes.String(), func(t *testing.T) {
			newCompany(t, queue.Shaping{}, takes, func(t *testing.T, c *company) {
				c.fill(1, "correo.example")
				a, b := c.join(), c.join()
				time.Sleep(takes + time.Minute)
				c.leave(a, b)
				require.Len(t, c.sent["correo.example"], 1)
				stats, err := c.Stats(t.Context())
				require.NoError(t, err)
				require.Equal(t, 1, stats.ByState[queue.Delivered])
				require.InDelta(t, extensions, a.store.extended.Load()+b.store.extended.Load(), float64(extensions)/2)
			})
		})
	}
}

// ahead is a store whose clock is not ours.
type ahead struct {
	*memqueue.Store
	by time.Duration
}

func (a *ahead) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
	alive, now, err := a.Store.Heartbeat(ctx, w, ttl)
	return alive, now.Add(a.by), err
}

// TestClocksThatDiffer are told of, once.
func TestClocksThatDiffer(t *testing.T) {
	for by, warnings := range map[time.Duration]int{0: 0, 4 * time.Second: 0, 6 * time.Second: 1, -6 * time.Second: 1} {
		t.Run(by.String(), func(t *testing.T) {
			var log bytes.Buffer
			opts := &queue.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
			around := func(s *memqueue.Store) queue.Store { return &ahead{s, by} }
			openWith(t, carrier(accept), around, opts, func(t *testing.T, o *office) {
				id := o.send(to("ana@correo.example"))[0]
				o.run(time.Minute)
				require.Equal(t, queue.Delivered, o.state(id))
				require.Equal(t, warnings, strings.Count(log.String(), "clock differs"))
			})
		})
	}
}
