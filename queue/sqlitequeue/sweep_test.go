package sqlitequeue_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

// aged is a message whose ID and due time are so old.
func aged(age time.Duration, lane string) *queue.Batch {
	b := mail(randomBody(5000))
	at := time.Now().Add(-age)
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		b.Jobs[0].ID[i] = byte(ms >> (40 - 8*i))
	}
	b.Jobs[0].Due, b.Jobs[0].Flow.Lane = at, lane
	return b
}

func deliver(t *testing.T, s queue.Store, lane string) {
	t.Helper()
	now := time.Now()
	leases, err := s.Claim(t.Context(), now, now.Add(time.Hour), []queue.FlowClaim{{Flow: queue.Flow{Lane: lane}, N: 100}})
	require.NoError(t, err)
	for _, l := range leases {
		_, err := s.Settle(t.Context(), []queue.Change{{ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true}})
		require.NoError(t, err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s, err := sqlitequeue.Open(path, &sqlitequeue.Options{KeepFinished: 24 * time.Hour, KeepEvents: 48 * time.Hour})
	require.NoError(t, err)
	defer s.Close()
	old, waiting, young, shared := aged(72*time.Hour, "old.example"), aged(72*time.Hour, "waiting.example"), aged(time.Hour, "young.example"), aged(72*time.Hour, "old.example")
	later := aged(time.Hour, "young.example").Jobs[0] // another job of the same template
	shared.Jobs = append(shared.Jobs, later)
	for _, b := range []*queue.Batch{old, waiting, young, shared} {
		put(t, s, b)
	}
	deliver(t, s, "old.example")
	deliver(t, s, "young.example")
	event := func(age time.Duration) tracking.Event {
		return tracking.Event{ID: tracking.NewID(), Type: tracking.Opened, Time: time.Now().Add(-age)}
	}
	require.NoError(t, s.Record(t.Context(), []tracking.Event{event(72 * time.Hour), event(time.Hour)}))

	require.NoError(t, s.Sweep(t.Context()))
	var left []tracking.ID
	for _, job := range list(t, s) {
		left = append(left, job.ID)
	}
	require.ElementsMatch(t, []tracking.ID{waiting.Jobs[0].ID, young.Jobs[0].ID, later.ID}, left)
	for b, want := range map[*queue.Batch]bool{old: false, waiting: true, young: true, shared: true} {
		_, err := s.Template(t.Context(), b.Hash)
		if want {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, queue.ErrNotFound)
		}
	}
	events, err := s.Events(t.Context(), queue.EventFilter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, [...]int{1, 0, 2, 0, 0}, stats.ByState)

	// What was swept can come again.
	put(t, s, old)
	deliver(t, s, "old.example")
	content, err := s.Template(t.Context(), old.Hash)
	require.NoError(t, err)
	require.Equal(t, old.Template, content)
	require.NoError(t, s.Close())
	s, err = sqlitequeue.Open(path, &sqlitequeue.Options{CheckAll: true})
	require.NoError(t, err)
	defer s.Close()
	require.Len(t, list(t, s), 4)
}

// TestSweepBesidePut sweeps for ever while others put jobs of a few templates and
// finish them: no job may lose its template or its flow.
func TestSweepBesidePut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s, err := sqlitequeue.Open(path, &sqlitequeue.Options{KeepFinished: time.Nanosecond})
	require.NoError(t, err)
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	swept := make(chan error)
	go func() {
		for ctx.Err() == nil {
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				swept <- err
				return
			}
		}
		swept <- nil
	}()
	bodies := []string{randomBody(100), randomBody(200), randomBody(300)}
	for i := range 300 {
		b := mail(bodies[i%len(bodies)])
		b.Jobs[0].Due = time.Now().Add(-time.Second)
		put(t, s, b)
		now := time.Now()
		leases, err := s.Claim(t.Context(), now, now.Add(time.Hour), []queue.FlowClaim{{Flow: b.Jobs[0].Flow, N: 1}})
		require.NoError(t, err)
		require.Len(t, leases, 1)
		_, err = s.Template(t.Context(), leases[0].Template)
		require.NoError(t, err)
		_, err = s.Settle(t.Context(), []queue.Change{{ID: leases[0].ID, Token: leases[0].Token, State: queue.Delivered}})
		require.NoError(t, err)
	}
	stop()
	require.NoError(t, <-swept)
}

func TestKeepForEver(t *testing.T) {
	t.Parallel()
	s, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "mail.db"), &sqlitequeue.Options{KeepFinished: -1, KeepEvents: -1})
	require.NoError(t, err)
	defer s.Close()
	put(t, s, aged(20_000*time.Hour, "old.example"))
	deliver(t, s, "old.example")
	require.NoError(t, s.Record(t.Context(), []tracking.Event{{ID: tracking.NewID(), Time: noon.AddDate(-20, 0, 0)}}))
	require.NoError(t, s.Sweep(t.Context()))
	require.Len(t, list(t, s), 1)
	events, err := s.Events(t.Context(), queue.EventFilter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
}

func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "mail.db"))
	defer s.Close()
	put(t, s, mail(randomBody(5000)))
	want := list(t, s)
	copied := filepath.Join(dir, "copia de seguridad.db")
	require.NoError(t, s.Backup(t.Context(), copied))
	put(t, s, mail(randomBody(5000)))
	require.ErrorContains(t, s.Backup(t.Context(), copied), "exists already")
	require.Error(t, s.Backup(t.Context(), filepath.Join(dir, "none", "mail.db")))

	other, err := sqlitequeue.Open(copied, &sqlitequeue.Options{CheckAll: true})
	require.NoError(t, err)
	defer other.Close()
	require.Equal(t, want, list(t, other))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "mail.db"), &sqlitequeue.Options{Limit: -7})
	require.ErrorContains(t, err, "-7")
	s, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "mail.db"), &sqlitequeue.Options{Limit: 2})
	require.NoError(t, err)
	defer s.Close()
	put(t, s, mail(randomBody(100)))
	two := mail(randomBody(100))
	two.Jobs = append(two.Jobs, mail(randomBody(100)).Jobs...)
	_, err = s.Put(t.Context(), two)
	require.ErrorIs(t, err, queue.ErrFull)
	_, err = s.Template(t.Context(), two.Hash)
	require.ErrorIs(t, err, queue.ErrNotFound)
	put(t, s, mail(randomBody(100)))
	_, err = s.Apply(t.Context(), queue.Filter{}, queue.Cancel, noon)
	require.NoError(t, err)
	put(t, s, two)
}

// TestView reads the file as a user would, while the store is open.
func TestView(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.db")
	s := open(t, path)
	defer s.Close()
	put(t, s, mail(randomBody(100)))
	deliver(t, s, "example.com")
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	var id, address, state, due string
	require.NoError(t, db.QueryRow("SELECT id, address, state, due FROM mail").Scan(&id, &address, &state, &due))
	require.Len(t, id, 32)
	require.Equal(t, []string{"ana@example.com", "delivered", "2026-03-01 12:00:00"}, []string{address, state, due})
}

func TestContextEnded(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "mail.db"))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, mail(randomBody(100)))
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.List(ctx, queue.Filter{}, tracking.ID{}, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, list(t, s))
}
