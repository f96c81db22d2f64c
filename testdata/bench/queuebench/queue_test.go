// Package queuebench compares sqlitequeue with River on PostgreSQL and with goqite:
// distinct messages of 10 KiB, one a call, durable when the call returns.
//
//	FRANQUEO_POSTGRES=postgres://mail@127.0.25.30:5432/mail go test -bench . -benchtime 2s
package queuebench

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	"maragu.dev/goqite"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

// put stores one message durably.
type put func(ctx context.Context, body []byte) error

// BenchmarkPut alternates between the queues, and reports the median rate of each.
func BenchmarkPut(b *testing.B) {
	ours, river, goqite := openOurs(b), openRiver(b), openGoqite(b)
	for _, producers := range []int{16, 128} {
		b.Run(map[int]string{16: "16", 128: "128"}[producers], func(b *testing.B) {
			var mine, rivers, goqites []float64
			for b.Loop() {
				mine = append(mine, rate(b, producers, 1024, ours))
				rivers = append(rivers, rate(b, producers, 512, river))
				goqites = append(goqites, rate(b, producers, 256, goqite))
			}
			b.ReportMetric(median(mine), "msg/s")
			b.ReportMetric(median(rivers), "river-msg/s")
			b.ReportMetric(median(goqites), "goqite-msg/s")
			b.ReportMetric(median(mine)/median(rivers), "×river")
			b.ReportMetric(median(mine)/median(goqites), "×goqite")
		})
	}
}

func median(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// rate puts n messages from so many producers.
func rate(b *testing.B, producers, n int, f put) float64 {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = make([]byte, 10<<10)
		_, _ = rand.Read(bodies[i])
	}
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range producers {
		group.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := f(context.Background(), bodies[i-1]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return float64(n) / time.Since(start).Seconds()
}

func openOurs(b *testing.B) put {
	s, err := sqlitequeue.Open(filepath.Join(b.TempDir(), "mail.db"), nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return func(ctx context.Context, body []byte) error {
		_, err := s.Put(ctx, &queue.Batch{Hash: sha256.Sum256(body), Template: body, Jobs: []queue.Job{
			{ID: tracking.NewID(), Flow: queue.Flow{Lane: "example.com"}, Address: "ana@example.com", Due: time.Now()},
		}})
		return err
	}
}

// mailArgs is a message as a job of River.
type mailArgs struct {
	Body []byte `json:"body"`
}

func (mailArgs) Kind() string { return "mail" }

type mailWorker struct{ river.WorkerDefaults[mailArgs] }

func (*mailWorker) Work(context.Context, *river.Job[mailArgs]) error { return nil }

// openRiver uses a schema of its own in the database that FRANQUEO_POSTGRES names.
func openRiver(b *testing.B) put {
	url := os.Getenv("FRANQUEO_POSTGRES")
	if url == "" {
		if os.Getenv("FRANQUEO_CI") != "" {
			b.Fatal("FRANQUEO_POSTGRES is not set")
		}
		b.Skip("FRANQUEO_POSTGRES is not set")
	}
	const schema = "franqueo_queuebench"
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	config.MaxConns = 64
	pool, err := pgxpool.NewWithConfig(ctx, config)
	require.NoError(b, err)
	_, err = pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE; CREATE SCHEMA "+schema)
	require.NoError(b, err)
	b.Cleanup(func() {
		_, err := pool.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		require.NoError(b, err)
		pool.Close()
	})
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema})
	require.NoError(b, err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	workers := river.NewWorkers()
	river.AddWorker(workers, &mailWorker{})
	client, err := river.NewClient[pgx.Tx](driver, &river.Config{Schema: schema, Workers: workers})
	require.NoError(b, err)
	return func(ctx context.Context, body []byte) error {
		_, err := client.Insert(ctx, mailArgs{body}, nil)
		return err
	}
}

// openGoqite is set up as its documentation says, and syncs each commit as we do.
func openGoqite(b *testing.B) put {
	path := filepath.Join(b.TempDir(), "goqite.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(1)
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "maragu.dev/goqite").Output()
	require.NoError(b, err)
	schema, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema_sqlite.sql"))
	require.NoError(b, err)
	_, err = db.Exec(string(schema))
	require.NoError(b, err)
	q := goqite.New(goqite.NewOpts{DB: db, Name: "mail"})
	return func(ctx context.Context, body []byte) error { return q.Send(ctx, goqite.Message{Body: body}) }
}
