package tracking_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/franqueo/franqueo/tracking"
	"github.com/franqueo/franqueo/tracking/internal/journaltest"
)

func openDB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "mail.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Test(t, func(t *testing.T) *journaltest.Database {
		return &journaltest.Database{DB: openDB(t), Schema: "main"}
	})
}

func BenchmarkJournal(b *testing.B) {
	j, err := tracking.NewJournal(b.Context(), openDB(b), nil)
	require.NoError(b, err)
	const batch = 500
	b.Run("record", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			events := make([]tracking.Event, batch)
			for i := range events {
				events[i] = tracking.Event{
					ID: tracking.NewID(), Type: tracking.Delivered, Time: time.Now(), Message: tracking.NewID(), Recipient: "ana@example.com",
					Campaign: "otoño", Tags: []string{"a"}, Code: 250, Enhanced: "2.0.0", Diagnostic: "250 2.0.0 Ok", Host: "mx.example.com", Attempt: 1,
				}
			}
			require.NoError(b, j.Record(b.Context(), events))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
	})
	b.Run("statistics", func(b *testing.B) {
		for b.Loop() {
			_, err := j.Statistics(b.Context(), tracking.Query{By: tracking.ByDomain})
			require.NoError(b, err)
		}
	})
}

func ExampleJournal() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // or each connection has a memory of its own

	ctx := context.Background()
	journal, err := tracking.NewJournal(ctx, db, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	message := tracking.NewID()
	event := func(typ tracking.Type) tracking.Event {
		return tracking.Event{ID: tracking.EventID(typ, message), Type: typ, Message: message, Recipient: "ana@example.com", Campaign: "otoño"}
	}
	events := []tracking.Event{event(tracking.Delivered), event(tracking.Opened)}
	_ = journal.Record(ctx, events)
	_ = journal.Record(ctx, events) // the same IDs again: nothing changes

	rows, err := journal.Statistics(ctx, tracking.Query{By: tracking.ByCampaign})
	for _, s := range rows {
		fmt.Printf("%s: %d delivered, %.0f %% opened\n", s.Key, s.Delivered, 100*s.OpenRate())
	}
	fmt.Println(err)
	// Output:
	// otoño: 1 delivered, 100 % opened
	// <nil>
}
