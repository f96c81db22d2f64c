// Package bench compares pgqueue with another queue on PostgreSQL, on the same
// server in the same run, by what both offer to all. It is a module of its own so
// that no user of the library gets the other queue.
package bench

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/tracking"
)

// connections is how many each side may have.
const connections = 16

// newPool returns a pool on the server in FRANQUEO_POSTGRES, and a schema of it that
// goes with the benchmark.
func newPool(b *testing.B) (*pgxpool.Pool, string) {
	address := os.Getenv("FRANQUEO_POSTGRES")
	if address == "" && os.Getenv("FRANQUEO_CI") != "" {
		b.Fatal("FRANQUEO_POSTGRES is not set")
	}
	if address == "" {
		b.Skip("FRANQUEO_POSTGRES is not set")
	}
	config, err := pgxpool.ParseConfig(address)
	require.NoError(b, err)
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(b, err)
	schema := fmt.Sprintf("bench_%x", [16]byte(tracking.NewID()))
	_, err = pool.Exec(b.Context(), "CREATE SCHEMA "+schema)
	require.NoError(b, err)
	b.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
		require.NoError(b, err)
		pool.Close()
	})
	return pool, schema
}

// contender is a queue under measurement.
type contender interface {
	// put queues a message of its own, durably.
	put(ctx context.Context, body []byte) error
	// drain works on n jobs that are queued, each of which takes no time, and returns
	// when they are settled.
	drain(b *testing.B, n int)
	// rest ends what drain has begun and is no part of it.
	rest(b *testing.B)
}

// race has both queues do the same in turns, so that what else the machine does slows
// both: prepare makes one ready, and work is what is timed. It reports the jobs a
// second of each, and the median of how many times those of the other ours are.
func race(b *testing.B, jobs int, prepare, work func(contender)) {
	contenders := []contender{openOurs(b), openRiver(b)}
	var took [2][]time.Duration
	turn := func(i int) {
		prepare(contenders[i])
		start := time.Now()
		work(contenders[i])
		took[i] = append(took[i], time.Since(start))
		contenders[i].rest(b)
	}
	for n := 0; b.Loop(); n++ {
		turn(n % 2)
		turn(1 - n%2)
	}
	ratios := make([]float64, len(took[0]))
	var total [2]time.Duration
	for n := range ratios {
		ratios[n] = float64(took[1][n]) / float64(took[0][n])
		total[0], total[1] = total[0]+took[0][n], total[1]+took[1][n]
	}
	slices.Sort(ratios)
	b.ReportMetric(float64(jobs*len(ratios))/total[0].Seconds(), "jobs/s")
	b.ReportMetric(float64(jobs*len(ratios))/total[1].Seconds(), "river-jobs/s")
	b.ReportMetric(ratios[len(ratios)/2], "times-river")
	b.ReportMetric(0, "ns/op") // of both
}

func messages(n int) [][]byte {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = make([]byte, 10<<10)
		_, _ = rand.Read(bodies[i]) // never fails
	}
	return bodies
}

// BenchmarkPut queues distinct messages of 10 KiB, one with each call.
func BenchmarkPut(b *testing.B) {
	for _, producers := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(producers), func(b *testing.B) {
			round := 100 + 4*producers
			var bodies [][]byte
			race(b, round, func(contender) { bodies = messages(round) }, func(q contender) { fill(b, q, bodies, producers) })
		})
	}
}

func fill(b *testing.B, q contender, bodies [][]byte, producers int) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range producers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(len(bodies)); i = next.Add(1) {
				if err := q.put(b.Context(), bodies[i-1]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkWork claims and settles.
func BenchmarkWork(b *testing.B) {
	const round = 5000
	race(b, round, func(q contender) { fill(b, q, messages(round), 64) }, func(q contender) { q.drain(b, round) })
}

type ours struct{ *pgqueue.Store }

func openOurs(b *testing.B) contender {
	pool, schema := newPool(b)
	s, err := pgqueue.Open(b.Context(), pool, &pgqueue.Options{Schema: schema})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return ours{s}
}

var flow = queue.Flow{Lane: "example.com"}

func (o ours) put(ctx context.Context, body []byte) error {
	_, err := o.Put(ctx, &queue.Batch{Hash: sha256.Sum256(body), Template: body, Jobs: []queue.Job{
		{ID: tracking.NewID(), Flow: flow, Address: "ana@example.com", Due: time.Now()},
	}})
	return err
}

// drain does as the queue's Run: it claims what it has room for, and settles every
// job by itself, with its event.
func (o ours) drain(b *testing.B, n int) {
	const workers = 128
	room := make(chan struct{}, workers)
	var group sync.WaitGroup
	for claimed := 0; claimed < n; {
		for range workers / 4 {
			room <- struct{}{}
		}
		leases, err := o.Claim(b.Context(), time.Now(), time.Now().Add(time.Hour), []queue.FlowClaim{{Flow: flow, N: workers / 4}})
		require.NoError(b, err)
		claimed += len(leases)
		for range workers/4 - len(leases) {
			<-room
		}
		for _, l := range leases {
			group.Go(func() {
				defer func() { <-room }()
				stale, err := o.Settle(b.Context(), []queue.Change{{
					ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true, Last: "250 2.0.0 Ok",
					Events: []tracking.Event{{ID: tracking.NewID(), Type: tracking.Delivered, Time: time.Now(), Message: l.ID}},
				}})
				if err != nil || len(stale) > 0 {
					b.Error(err, stale)
				}
			})
		}
	}
	group.Wait()
}

func (ours) rest(*testing.B) {}

type theirs struct {
	*river.Client[pgx.Tx]
	pool    *pgxpool.Pool
	schema  string
	worked  *atomic.Int64
	started bool
}

type mail struct {
	Body []byte `json:"body"`
}

func (mail) Kind() string { return "mail" }

type worker struct {
	river.WorkerDefaults[mail]
	worked *atomic.Int64
}

func (w *worker) Work(context.Context, *river.Job[mail]) error {
	w.worked.Add(1)
	return nil
}

func openRiver(b *testing.B) contender {
	pool, schema := newPool(b)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	require.NoError(b, err)
	_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	t := &theirs{pool: pool, schema: schema, worked: new(atomic.Int64)}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{worked: t.worked})
	t.Client, err = river.NewClient(driver, &river.Config{
		Schema: schema, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 128}},
	})
	require.NoError(b, err)
	return t
}

func (t *theirs) put(ctx context.Context, body []byte) error {
	_, err := t.Insert(ctx, mail{body}, nil)
	return err
}

func (t *theirs) drain(b *testing.B, n int) {
	t.started = true
	require.NoError(b, t.Start(b.Context()))
	for left := n; left > 0; {
		time.Sleep(10 * time.Millisecond)
		if t.worked.Load() < int64(n) {
			continue
		}
		err := t.pool.QueryRow(b.Context(), "SELECT count(*) FROM "+t.schema+".river_job WHERE state <> 'completed'").Scan(&left)
		require.NoError(b, err)
	}
	t.worked.Store(0)
}

func (t *theirs) rest(b *testing.B) {
	if t.started {
		require.NoError(b, t.Stop(context.Background()))
	}
	t.started = false
}
