package pgqueue_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/leak"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/tracking"
)

func TestMain(m *testing.M) {
	workertest.Main(openAt)
	leak.Main(m)
}

var (
	_ queue.Store           = (*pgqueue.Store)(nil)
	_ queue.Journal         = (*pgqueue.Store)(nil)
	_ queue.SuppressionList = (*pgqueue.Store)(nil)
	_ queue.Meter           = (*pgqueue.Store)(nil)
	_ queue.Waker           = (*pgqueue.Store)(nil)
	_ queue.Roster          = (*pgqueue.Store)(nil)
	_ tracking.Resolver     = (*pgqueue.Store)(nil)
)

// peer is the URL of a database in which the user may make schemas.
func peer(t testing.TB) string {
	t.Helper()
	address := os.Getenv("FRANQUEO_POSTGRES")
	if address == "" && os.Getenv("FRANQUEO_CI") != "" {
		t.Fatal("FRANQUEO_POSTGRES is not set")
	}
	if address == "" {
		t.Skip("FRANQUEO_POSTGRES is not set")
	}
	return address
}

// newPool returns a pool of the database, with few connections: many tests run at
// the same time.
func newPool(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(address)
	require.NoError(t, err)
	config.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// newSchema returns the name of a schema that is dropped when the test ends.
func newSchema(t testing.TB, pool *pgxpool.Pool) string {
	schema := fmt.Sprintf("q_%x", [16]byte(tracking.NewID()))
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
		require.NoError(t, err)
	})
	return schema
}

func open(t testing.TB, pool *pgxpool.Pool, schema string) *pgqueue.Store {
	t.Helper()
	s, err := pgqueue.Open(context.Background(), pool, &pgqueue.Options{Schema: schema})
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	address := peer(t)
	pool := newPool(t, address)
	queuetest.TestStore(t, func(t *testing.T) queue.Store { return open(t, pool, newSchema(t, pool)) })
}

func TestRestart(t *testing.T) {
	address := peer(t)
	pool := newPool(t, address)
	queuetest.TestRestart(t, func(t *testing.T) func() queue.Store {
		schema := newSchema(t, pool)
		return func() queue.Store { return open(t, pool, schema) }
	})
}
