package pgqueue_test

import (
	"context"
	"net/mail"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// shop is a host with a queue, each on one schema of one database.
type shop struct {
	*testing.T
	pool    *pgxpool.Pool
	schema  string
	store   *pgqueue.Store
	queue   *queue.Queue
	tracker *tracking.Tracker
	letter  *tracking.Template
}

func newShop(t *testing.T, transport smtp.Transport) *shop {
	pool := newPool(t, peer(t))
	s := &shop{T: t, pool: pool, schema: newSchema(t, pool)}
	s.store = open(t, pool, s.schema)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	var err error
	s.tracker, err = tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: s.store})
	require.NoError(t, err)
	s.queue, err = queue.New(s.store, transport, s.tracker, nil)
	require.NoError(t, err)
	s.letter, err = s.tracker.Compile(&tracking.Message{
		From: mail.Address{Address: "tienda@example.com"}, Subject: "Pedido {{n}}", Text: "Gracias por tu pedido {{n}}.",
	})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "CREATE TABLE "+s.schema+".orders (n int PRIMARY KEY)")
	require.NoError(t, err)
	return s
}

func customer(n string) tracking.Recipient {
	return tracking.Recipient{To: mail.Address{Address: "ana@example.net"}, Fields: map[string]string{"n": n}, Key: "pedido " + n}
}

// order stores an order and queues its mail in one transaction.
func (s *shop) order(ctx context.Context, tx pgx.Tx, n int, number string) error {
	if _, err := tx.Exec(ctx, "INSERT INTO "+s.schema+".orders VALUES ($1)", n); err != nil {
		return err
	}
	_, err := s.queue.In(s.store.Tx(tx)).Send(ctx, s.letter, customer(number))
	return err
}

func (s *shop) jobs() []queue.Job {
	s.Helper()
	jobs, err := s.store.List(s.Context(), queue.Filter{}, tracking.ID{}, 100)
	require.NoError(s, err)
	return jobs
}

// TestOutbox queues mail if and only if the transaction commits.
func TestOutbox(t *testing.T) {
	t.Parallel()
	s := newShop(t, smtptest.NewRecorder())
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.order(t.Context(), tx, 1, "1"))
	inside, err := s.store.Tx(tx).List(t.Context(), queue.Filter{}, tracking.ID{}, 100)
	require.NoError(t, err)
	require.Len(t, inside, 1)
	require.Empty(t, s.jobs())
	require.NoError(t, tx.Rollback(t.Context()))
	require.Empty(t, s.jobs())

	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { return s.order(t.Context(), tx, 1, "1") }))
	require.Len(t, s.jobs(), 1)

	// Mail that is refused leaves the transaction whole, and what was known, known.
	err = pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		again := customer("1")
		again.Fields = map[string]string{"n": "uno"}
		_, err := s.queue.In(s.store.Tx(tx)).Send(t.Context(), s.letter, again)
		var conflict *queue.KeyError
		require.ErrorAs(t, err, &conflict)
		return s.order(t.Context(), tx, 2, "2")
	})
	require.NoError(t, err)
	require.Len(t, s.jobs(), 2)
	require.ErrorContains(t, s.queue.In(s.store).Run(t.Context()), "running already")
}

// TestOutboxManages cancels mail in the transaction of the host.
func TestOutboxManages(t *testing.T) {
	t.Parallel()
	s := newShop(t, smtptest.NewRecorder())
	ids, err := s.queue.Send(t.Context(), s.letter, customer("1"))
	require.NoError(t, err)
	cancel := func(tx pgx.Tx) {
		n, err := s.store.Tx(tx).Apply(t.Context(), queue.Filter{IDs: ids}, queue.Cancel, time.Now())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	cancel(tx)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, queue.Ready, s.jobs()[0].State)
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { cancel(tx); return nil }))
	require.Equal(t, queue.Cancelled, s.jobs()[0].State)
	require.NoError(t, s.store.Tx(tx).Close())
}

// TestOutboxKeepsSnapshot has a transaction that does not see a hold begin again.
func TestOutboxKeepsSnapshot(t *testing.T) {
	t.Parallel()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, smtptest.NewRecorder())
			held := queue.Filter{Lane: "example.net"}
			isolated := func(f func(tx pgx.Tx) error) error {
				return pgx.BeginTxFunc(t.Context(), s.pool, pgx.TxOptions{IsoLevel: level}, f)
			}
			hold := func(store *pgqueue.Store, action queue.Action) error {
				_, err := store.Apply(t.Context(), held, action, time.Now())
				return err
			}
			err := isolated(func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "SELECT FROM "+s.schema+".orders")
				require.NoError(t, err)
				require.NoError(t, hold(s.store, queue.Hold))
				return s.order(t.Context(), tx, 1, "1")
			})
			var conflict *pgconn.PgError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, "40001", conflict.Code)
			require.Empty(t, s.jobs())

			require.NoError(t, isolated(func(tx pgx.Tx) error { return s.order(t.Context(), tx, 1, "1") }))
			require.Equal(t, queue.Held, s.jobs()[0].State)
			err = isolated(func(tx pgx.Tx) error { return hold(s.store.Tx(tx), queue.Release) })
			require.ErrorContains(t, err, "READ COMMITTED")

			// Who sees the hold, or lifts it in the same transaction, needs not begin again.
			err = pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				require.NoError(t, hold(s.store.Tx(tx), queue.Release))
				return s.order(t.Context(), tx, 2, "2")
			})
			require.NoError(t, err)
			for _, job := range s.jobs() {
				require.Equal(t, queue.Ready, job.State)
			}
		})
	}
}
