package pgqueue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// TestLost has a process and the server lose each other while the server is at a
// transaction of the process, which also listens. The locks that it holds do not keep
// others waiting for good, nor does it wait and listen for good.
func TestLost(t *testing.T) {
	t.Parallel()
	address := peer(t)
	pool := newPool(t, address)
	schema := newSchema(t, pool)
	s := open(t, pool, schema)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	proxy, through := newProxy(t, address)
	lost := open(t, newPool(t, through), schema)
	take := func(s queue.Meter) (int, error) {
		n, _, err := s.Take(t.Context(), queue.Window{Name: "relay", Limit: 100, Span: time.Hour}, 10, time.Now())
		return n, err
	}

	deaf, listening := make(chan error), make(chan bool, 100)
	go func() { deaf <- lost.Wake(t.Context(), func(queue.Flow) { listening <- true }) }()
	require.Eventually(t, func() bool {
		job := queue.Job{ID: tracking.NewID(), Flow: campaign, Address: "ana@example.com", Due: time.Now()}
		_, err := s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{1}, Template: []byte("Hola"), Jobs: []queue.Job{job}})
		return err == nil && len(listening) > 0
	}, time.Minute, 10*time.Millisecond)

	blocking, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocking.Exec(t.Context(), "LOCK TABLE "+schema+".sent IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	failed := make(chan error)
	go func() {
		_, err := take(lost)
		failed <- err
	}()
	waits := func() bool {
		var n int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass", schema+".sent").Scan(&n)
		return err == nil && n > 0
	}
	require.Eventually(t, waits, time.Minute, 10*time.Millisecond) // it has the lock of the window
	proxy.Silence()
	require.NoError(t, blocking.Rollback(t.Context()))

	require.Eventually(t, func() bool {
		n, err := take(s)
		return err == nil && n == 10
	}, 2*time.Minute, 100*time.Millisecond)
	require.Error(t, <-failed)
	require.Error(t, <-deaf)
	proxy.Heal()
	require.NoError(t, lost.Close())
}
