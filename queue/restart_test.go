package queue_test

import (
	"context"
	"net/mail"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// TestLimitsHoldAcrossRestarts: a process that is started again has not got a new
// day, whether the limit is a relay's quota or a step of a warm-up.
func TestLimitsHoldAcrossRestarts(t *testing.T) {
	t.Parallel()
	provider := queue.Provider{Name: "grande", Domains: []string{"correo.example"}}
	warming := provider
	warming.Warmup, warming.WarmupStart = []int{40, 80}, time.Now().Add(-time.Hour)
	for name, shaping := range map[string]queue.Shaping{
		"Total":  {Total: queue.Limit{PerDay: 40}},
		"Warmup": {Providers: []queue.Provider{warming}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "mail.db")
			recorder := smtptest.NewRecorder()
			for start := range 3 {
				sendUntilQuiet(t, file, recorder, shaping, start == 0)
			}
			require.Len(t, recorder.Messages(), 40)
		})
	}
}

// sendUntilQuiet opens a queue of 100 mails, and runs it until it has rested for a
// while.
func sendUntilQuiet(t *testing.T, file string, recorder *smtptest.Recorder, shaping queue.Shaping, first bool) {
	store, err := sqlitequeue.Open(file, nil)
	require.NoError(t, err)
	defer store.Close()
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	require.NoError(t, err)
	q, err := queue.New(store, recorder, tracker, &queue.Options{Shaping: shaping})
	require.NoError(t, err)
	if first {
		template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Hola {{nombre}}"})
		require.NoError(t, err)
		_, err = q.SendAll(t.Context(), &queue.Mailing{Template: template}, many(100, "correo.example"))
		require.NoError(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	for last, quiet := -1, 0; quiet < 10; time.Sleep(20 * time.Millisecond) {
		stats, err := q.Stats(t.Context())
		require.NoError(t, err)
		if sent := stats.ByState[queue.Delivered]; sent != last {
			last, quiet = sent, 0
		} else if sent >= 10 {
			quiet++
		}
	}
	stop()
	require.NoError(t, <-done)
}
