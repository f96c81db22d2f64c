package pgqueue_test

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// office is the server that some workers send to, and what it sees of them.
type office struct {
	*testing.T
	schema, address string
	limit           int
	server          *smtptest.Server
	tracker         *tracking.Tracker

	open atomic.Int64 // connections

	mu      sync.Mutex // guards what follows
	sending int
	most    int
	busiest int64 // most connections
}

// desk is one of the workers, with a store and a relay of its own.
type desk struct {
	*queue.Queue
	pool  *pgxpool.Pool
	relay *smtp.Relay
	stop  context.CancelFunc
	ended chan error
}

// dialer counts the connections that are open.
type dialer struct{ *office }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	open := d.open.Add(1)
	d.mu.Lock()
	d.busiest = max(d.busiest, open)
	d.mu.Unlock()
	return &counted{Conn: conn, close: sync.OnceFunc(func() { d.open.Add(-1) })}, nil
}

type counted struct {
	net.Conn
	close func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.close()
	return err
}

// receive takes a message at the server, before its sender hears of it.
func (o *office) receive(*smtptest.Message) {
	o.mu.Lock()
	o.sending++
	o.most = max(o.most, o.sending)
	o.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	o.mu.Lock()
	o.sending--
	o.mu.Unlock()
}

// watched returns the most messages and connections at the same time since it was
// asked last.
func (o *office) watched() (messages int, connections int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages, connections = o.most, o.busiest
	o.most, o.busiest = o.sending, o.open.Load()
	return messages, connections
}

func (o *office) hire() *desk {
	pool := newPool(o, o.address)
	store := open(o, pool, o.schema)
	o.Cleanup(func() { require.NoError(o, store.Close()) })
	relay, err := smtp.NewRelay(o.server.URL(), &smtp.RelayOptions{
		Dialer: dialer{o}, TLSConfig: o.server.ClientTLS(), Pool: smtp.PoolOptions{MaxConns: 100, MaxInFlight: 1, IdleTimeout: time.Hour, MaxAge: time.Hour},
	})
	require.NoError(o, err)
	o.Cleanup(func() { require.NoError(o, relay.Close()) })
	d := &desk{pool: pool, relay: relay, ended: make(chan error, 1)}
	shaping := queue.Shaping{Lane: queue.Limit{Connections: o.limit}}
	d.Queue, err = queue.New(store, relay, o.tracker, &queue.Options{Shaping: shaping, DrainTimeout: time.Second})
	require.NoError(o, err)
	ctx, stop := context.WithCancel(o.Context())
	d.stop = sync.OnceFunc(func() {
		stop()
		require.NoError(o, <-d.ended)
	})
	o.Cleanup(d.stop)
	go func() { d.ended <- d.Run(ctx) }()
	return d
}

// settle waits until these workers know of each other and of nobody else, and have all
// of the limit.
func (o *office) settle(desks ...*desk) {
	o.Helper()
	require.Eventually(o, func() bool {
		sum := 0
		for _, d := range desks {
			for _, p := range d.Pools() {
				if p.Name == "example.com" && p.Workers == len(desks) {
					sum += p.Allowed
				}
			}
		}
		return sum == o.limit
	}, time.Minute, 10*time.Millisecond)
}

// sends waits until a worker has sent so many more.
func (o *office) sends(d *desk, n uint64) {
	o.Helper()
	before := d.relay.Stats().Sent
	require.Eventually(o, func() bool { return d.relay.Stats().Sent >= before+n }, time.Minute, 10*time.Millisecond)
}

// TestConnectionsOfAllWorkers: workers come, leave and die, and the server never sees
// more of all together than one would be allowed.
func TestConnectionsOfAllWorkers(t *testing.T) {
	t.Parallel()
	address := peer(t)
	pool := newPool(t, address)
	o := &office{T: t, schema: newSchema(t, pool), address: address, limit: 7}
	o.server = smtptest.NewServer(&smtptest.Options{Receive: o.receive, EnvelopeOnly: true})
	t.Cleanup(o.server.Close)
	var err error
	o.tracker, err = tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	require.NoError(t, err)

	a := o.hire()
	letter, err := o.tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Hola"})
	require.NoError(t, err)
	_, err = a.SendAll(t.Context(), &queue.Mailing{Template: letter}, func(yield func(tracking.Recipient) bool) {
		for i := range 40_000 {
			if !yield(tracking.Recipient{To: mail.Address{Address: fmt.Sprintf("a%d@example.com", i)}}) {
				return
			}
		}
	})
	require.NoError(t, err)
	o.settle(a)
	o.sends(a, 100)
	b, c := o.hire(), o.hire()
	o.settle(a, b, c)
	most, _ := o.watched()
	require.LessOrEqual(t, most, o.limit, "while they join")
	require.Eventually(t, func() bool { return o.open.Load() <= int64(o.limit) }, time.Minute, time.Millisecond, "what was idle is closed")
	o.watched()
	for _, d := range []*desk{a, b, c} {
		o.sends(d, 30)
	}
	most, connections := o.watched()
	require.LessOrEqual(t, most, o.limit)
	require.LessOrEqual(t, connections, int64(o.limit))

	b.stop()
	o.settle(a, c)
	o.sends(a, 30)
	most, _ = o.watched()
	require.LessOrEqual(t, most, o.limit, "while one leaves")

	c.pool.Close() // it is cut off
	o.settle(a)
	o.sends(a, 30)
	most, _ = o.watched()
	require.LessOrEqual(t, most, o.limit, "while one dies")
}

// TestWorkersAreSwept: workers that died leave nothing behind.
func TestWorkersAreSwept(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	schema := newSchema(t, pool)
	s := open(t, pool, schema)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	beat := func(ttl time.Duration) {
		_, _, err := s.Heartbeat(t.Context(), queue.Worker{ID: tracking.NewID()}, ttl)
		require.NoError(t, err)
	}
	beat(time.Hour)
	beat(time.Millisecond)
	_, err := pool.Exec(t.Context(), "UPDATE "+schema+".worker SET until = until - 24 * 3600 * 1000 WHERE id = (SELECT max(id::text)::uuid FROM "+schema+".worker)")
	require.NoError(t, err)
	require.NoError(t, s.Sweep(t.Context()))
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+".worker").Scan(&left))
	require.Equal(t, 1, left)
}
