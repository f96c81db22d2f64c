package pgqueue_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// clocked is a transport that tells when each attempt begins.
type clocked struct {
	smtp.Transport
	begun chan time.Time
}

func (c *clocked) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	c.begun <- time.Now()
	return c.Transport.Send(ctx, m)
}

// TestWake has another process's commits start a worker that is idle, far sooner
// than it would ask.
func TestWake(t *testing.T) {
	t.Parallel()
	transport := &clocked{Transport: smtptest.NewRecorder(), begun: make(chan time.Time, 1)}
	s := newShop(t, transport)
	other := open(t, s.pool, s.schema)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	sender, err := queue.New(other, transport, s.tracker, nil)
	require.NoError(t, err)

	listening := make(chan queue.Flow, 100)
	ctx, stop := context.WithCancel(t.Context())
	deaf, done := make(chan error), make(chan error)
	go func() { deaf <- other.Wake(ctx, func(f queue.Flow) { listening <- f }) }()
	go func() { done <- s.queue.Run(ctx) }()

	const mails = 20
	var took []time.Duration
	for i := range mails {
		var committed time.Time
		err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			_, err := sender.In(other.Tx(tx)).Send(t.Context(), s.letter, customer(strconv.Itoa(i)))
			committed = time.Now()
			return err
		})
		require.NoError(t, err)
		took = append(took, (<-transport.begun).Sub(committed))
	}
	slices.Sort(took)
	t.Logf("from the commit to the attempt: median %v, longest %v", took[mails/2], took[mails-1])
	bar := 300 * time.Millisecond // who asks takes 500
	if os.Getenv("FRANQUEO_SPEED") != "" {
		bar = 50 * time.Millisecond // on a machine that does nothing else
	}
	require.Less(t, took[mails/2], bar)
	require.Equal(t, queue.Flow{Lane: "example.net", Priority: queue.Transactional}, <-listening)
	stop()
	require.NoError(t, <-done)
	require.ErrorIs(t, <-deaf, context.Canceled)
}

// TestWakeEnds ends with the store, and with the server's patience.
func TestWakeEnds(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	s := open(t, pool, newSchema(t, pool))
	ended := make(chan error)
	go func() { ended <- s.Wake(t.Context(), func(queue.Flow) {}) }()
	require.Eventually(t, func() bool { return pool.Stat().NewConnsCount() > 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-ended, queue.ErrClosed)
	require.ErrorIs(t, s.Wake(t.Context(), func(queue.Flow) {}), queue.ErrClosed)
}
