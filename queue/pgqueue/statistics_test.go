package pgqueue_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/tracking"
)

// TestStatistics has the store count, and resolve, what it recorded.
func TestStatistics(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	s := open(t, pool, newSchema(t, pool))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	job := queue.Job{
		ID: tracking.NewID(), Address: "ana@example.com", Stream: "news", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
		Flow: queue.Flow{Lane: "example.com", Campaign: "otoño", Tenant: "acme"}, Due: noon,
	}
	_, err := s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{1}, Template: []byte("t"), Jobs: []queue.Job{job}})
	require.NoError(t, err)
	at := func(typ tracking.Type, second int, machine tracking.Machine) tracking.Event {
		return tracking.Event{ID: tracking.NewID(), Type: typ, Time: noon.Add(time.Duration(second) * time.Second), Message: job.ID, Machine: machine}
	}
	raw := at(tracking.Deferred, 0, 0)
	raw.Diagnostic = "450 buz\xf3n lleno\x00" // Latin-1, as servers do send
	require.NoError(t, s.Record(t.Context(), []tracking.Event{
		raw, at(tracking.Delivered, 1, 0), at(tracking.Opened, 2, tracking.MachineApplePrivacy), at(tracking.Clicked, 3, 0),
		{ID: tracking.NewID(), Type: tracking.Bounced, Time: noon, Message: tracking.NewID(), Recipient: "bea@example.net", Campaign: "otoño", Reason: bounce.BadMailbox, Verdict: bounce.Hard},
	}))
	rows, err := s.Statistics(t.Context(), tracking.Query{By: tracking.ByCampaign})
	require.NoError(t, err)
	require.Equal(t, []tracking.Statistics{{
		Key: "otoño", Sent: 2, Delivered: 1, Deferred: 1, Bounced: 1, Hard: 1, Reasons: map[bounce.Reason]int{bounce.BadMailbox: 1},
		Opened:  tracking.Engagement{Human: 1, Machine: 1, MachineHits: 1},
		Clicked: tracking.Engagement{Human: 1, HumanHits: 1},
	}}, rows)
	domains, err := s.Statistics(t.Context(), tracking.Query{By: tracking.ByDomain})
	require.NoError(t, err)
	require.Len(t, domains, 2)
	mail, err := s.Resolve(t.Context(), job.ID, "")
	require.NoError(t, err)
	require.Equal(t, tracking.Mail{
		Recipient: "ana@example.com", Campaign: "otoño", Stream: "news", Tenant: "acme", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
		Delivered: noon.Add(time.Second), Clicked: true,
	}, mail)
	_, err = s.Resolve(t.Context(), tracking.NewID(), "")
	require.ErrorIs(t, err, tracking.ErrUnknownMail)
}

// TestLimitTogether has processes share a quota: together they get what it allows.
func TestLimitTogether(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	schema := newSchema(t, pool)
	w := queue.Window{Name: "relay", Limit: 1000, Span: 24 * time.Hour}
	var granted atomic.Int64
	var group sync.WaitGroup
	for range 3 {
		s := open(t, pool, schema)
		group.Go(func() {
			defer s.Close()
			for {
				n, again, err := s.Take(t.Context(), w, 7, time.Now())
				granted.Add(int64(n))
				if err != nil || n == 0 {
					if err != nil || !again.After(time.Now()) {
						t.Error(err, again)
					}
					return
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, w.Limit, granted.Load())
}

func TestFull(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	s, err := pgqueue.Open(t.Context(), pool, &pgqueue.Options{Schema: newSchema(t, pool), Limit: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	put := func() error {
		_, err := s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{1}, Template: []byte("t"), Jobs: []queue.Job{{ID: tracking.NewID()}}})
		return err
	}
	require.NoError(t, put())
	require.ErrorIs(t, put(), queue.ErrFull)
}

// TestSweep deletes what is old, and the templates and flows with it.
func TestSweep(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	schema := newSchema(t, pool)
	s, err := pgqueue.Open(t.Context(), pool, &pgqueue.Options{Schema: schema, KeepFinished: time.Millisecond, KeepEvents: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	old := time.Now().Add(-time.Hour)
	for i, state := range []queue.State{queue.Ready, queue.Ready} {
		_, err := s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{byte(i + 1)}, Template: []byte("t"), Jobs: []queue.Job{
			{ID: tracking.ID{15: byte(i + 1)}, Flow: queue.Flow{Lane: string(rune('a' + i))}, State: state, Due: old},
		}})
		require.NoError(t, err)
	}
	n, err := s.Apply(t.Context(), queue.Filter{Lane: "a"}, queue.Cancel, time.Now())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, s.Record(t.Context(), []tracking.Event{{ID: tracking.NewID(), Type: tracking.Opened, Time: old}}))
	_, err = pool.Exec(t.Context(), "UPDATE "+schema+".template SET used = 0")
	require.NoError(t, err)
	require.NoError(t, s.Sweep(t.Context()))
	jobs, err := s.List(t.Context(), queue.Filter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, "b", jobs[0].Flow.Lane)
	events, err := s.Events(t.Context(), queue.EventFilter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Empty(t, events)
	_, err = s.Template(t.Context(), queue.Hash{1})
	require.ErrorIs(t, err, queue.ErrNotFound)
	_, err = s.Template(t.Context(), queue.Hash{2})
	require.NoError(t, err)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, [...]int{1, 0, 0, 0, 0}, stats.ByState)
}

// TestOpen reports every fault of the options, and opens once for all processes that
// open at the same time.
func TestOpen(t *testing.T) {
	t.Parallel()
	pool := newPool(t, peer(t))
	_, err := pgqueue.Open(t.Context(), pool, &pgqueue.Options{Schema: "Correo; DROP", Limit: -1})
	require.ErrorContains(t, err, `"Correo; DROP"`)
	require.ErrorContains(t, err, "-1")
	schema := newSchema(t, pool)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := pgqueue.Open(context.Background(), pool, &pgqueue.Options{Schema: schema})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	group.Wait()
	_, err = pool.Exec(t.Context(), "UPDATE "+schema+".version SET version = 99")
	require.NoError(t, err)
	_, err = pgqueue.Open(t.Context(), pool, &pgqueue.Options{Schema: schema})
	require.ErrorIs(t, err, queue.ErrCorrupt)
	require.True(t, strings.Contains(err.Error(), "99"), err)
}
