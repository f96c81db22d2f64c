package tracking_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

// shelf is a sink that fails as often as it is told to.
type shelf struct {
	mu     sync.Mutex
	calls  [][]tracking.Event
	fail   int
	delay  time.Duration
	failed int
}

func (s *shelf) Record(ctx context.Context, events []tracking.Event) error {
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed < s.fail {
		s.failed++
		return errors.New("shelf broken")
	}
	s.calls = append(s.calls, append([]tracking.Event(nil), events...))
	return nil
}

// all returns the attempt numbers of the events, which the tests use as numbers.
func (s *shelf) all() (out []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		for _, e := range call {
			out = append(out, e.Attempt)
		}
	}
	return out
}

// numbered are events with the given attempt numbers.
func numbered(from, to int) (events []tracking.Event) {
	for n := from; n < to; n++ {
		events = append(events, tracking.Event{ID: tracking.NewID(), Type: tracking.Deferred, Attempt: n})
	}
	return events
}

func numbers(from, to int) (out []int) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func newBatch(t *testing.T, s tracking.Sink, opts *tracking.BatchOptions) *tracking.Batch {
	t.Helper()
	b, err := tracking.NewBatch(s, opts)
	require.NoError(t, err)
	return b
}

func TestMulti(t *testing.T) {
	t.Parallel()
	var a, c shelf
	broken := shelf{fail: 1}
	multi := tracking.Multi(&a, &broken, &c)
	require.ErrorContains(t, multi.Record(t.Context(), numbered(0, 2)), "shelf broken")
	require.NoError(t, multi.Record(t.Context(), numbered(0, 2)))
	require.Equal(t, []int{0, 1, 0, 1}, a.all())
	require.Equal(t, []int{0, 1, 0, 1}, c.all())
	require.Equal(t, []int{0, 1}, broken.all())
}

func TestLogLeavesPeopleOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := tracking.Log(slog.New(slog.NewTextHandler(&out, nil)))
	require.NoError(t, log.Record(t.Context(), []tracking.Event{{
		Type: tracking.Bounced, Message: tracking.NewID(), Recipient: "ana@example.com", Campaign: "otoño", Mailing: "00ff",
		IP: netip.MustParseAddr("198.51.100.7"), UserAgent: "Thunderbird", Machine: tracking.MachineHead | tracking.MachineSweep,
		Reason: bounce.BadMailbox, Verdict: bounce.Hard, Code: 550, Enhanced: "5.1.1", Host: "mx.example.com", Attempt: 2,
		Stream: "s", Tenant: "t", URL: "https://example.com/", Diagnostic: "550 ana@example.com unknown",
	}}))
	for _, want := range []string{"mail bounced", "message=", "reason=bad-mailbox", "verdict=hard", "code=550", "enhanced=5.1.1", "machine=head,sweep", "attempt=2", "campaign=otoño"} {
		require.Contains(t, out.String(), want)
	}
	for _, hidden := range []string{"ana@", "198.51", "Thunderbird"} {
		require.NotContains(t, out.String(), hidden)
	}
}

func TestChan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := make(chan tracking.Event, 2)
		sink := tracking.Chan(c)
		require.NoError(t, sink.Record(t.Context(), numbered(0, 2)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, sink.Record(ctx, numbered(2, 3)), context.DeadlineExceeded)
		require.Equal(t, 0, (<-c).Attempt)
		require.NoError(t, sink.Record(t.Context(), numbered(2, 3)))
	})
}

func TestBatchGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		b := newBatch(t, &s, &tracking.BatchOptions{Size: 4})
		for n := range 10 {
			require.NoError(t, b.Record(t.Context(), numbered(n, n+1)))
		}
		require.Empty(t, s.all())
		time.Sleep(2 * time.Second)
		require.Equal(t, numbers(0, 10), s.all())
		require.Len(t, s.calls, 3)
		require.NoError(t, b.Record(t.Context(), numbered(10, 11)))
		time.Sleep(2 * time.Second)
		require.Equal(t, numbers(0, 11), s.all())
		require.NoError(t, b.Close(t.Context()))
		require.ErrorIs(t, b.Record(t.Context(), numbered(0, 1)), tracking.ErrClosed)
	})
}

// TestBatchRetries has the sink fail for a while, with events coming all the time:
// none is lost or out of order.
func TestBatchRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shelf{fail: 6, delay: 100 * time.Millisecond}
		b := newBatch(t, &s, &tracking.BatchOptions{Size: 3})
		for n := range 100 {
			require.NoError(t, b.Record(t.Context(), numbered(n, n+1)))
			time.Sleep(time.Second)
		}
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, numbers(0, 100), s.all())
		require.Zero(t, b.Dropped())
	})
}

func TestBatchBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shelf{fail: 2}
		b := newBatch(t, &s, &tracking.BatchOptions{Room: 5, Size: 2})
		start := time.Now()
		require.NoError(t, b.Record(t.Context(), numbered(0, 23)))
		require.GreaterOrEqual(t, time.Since(start), 3*time.Second, "for the sink")
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, numbers(0, 23), s.all())

		s = shelf{fail: 1000}
		b = newBatch(t, &s, &tracking.BatchOptions{Room: 5})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, b.Record(ctx, numbered(0, 6)), context.DeadlineExceeded)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorContains(t, b.Close(ctx), "5 events not recorded")
	})
}

func TestBatchDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := shelf{fail: 1}
		b := newBatch(t, &s, &tracking.BatchOptions{Room: 5, Overflow: tracking.Drop, Log: slog.New(slog.NewTextHandler(&out, nil))})
		for n := range 10 {
			require.NoError(t, b.Record(t.Context(), numbered(n, n+1)))
		}
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, numbers(0, 5), s.all())
		require.Equal(t, int64(5), b.Dropped())
		require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("dropped")), "one record for a row of losses")
	})
}

func TestBatchFromMany(t *testing.T) {
	t.Parallel()
	s := shelf{fail: 1}
	b := newBatch(t, &s, &tracking.BatchOptions{Room: 50, Size: 7, Pause: -1})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				if b.Record(t.Context(), numbered(i*200+n, i*200+n+1)) != nil {
					t.Error("not recorded")
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close(t.Context()))
	require.ElementsMatch(t, numbers(0, 1600), s.all())
}

func TestNewBatchChecks(t *testing.T) {
	t.Parallel()
	_, err := tracking.NewBatch(nil, &tracking.BatchOptions{Size: -1, Overflow: 7})
	require.ErrorContains(t, err, "without a sink")
	require.ErrorContains(t, err, "size -1")
	require.ErrorContains(t, err, "overflow 7")
}

func ExampleMulti() {
	show := tracking.SinkFunc(func(_ context.Context, events []tracking.Event) error {
		for _, e := range events {
			fmt.Println(e.Type, e.URL)
		}
		return nil
	})
	count := 0
	counter := tracking.SinkFunc(func(_ context.Context, events []tracking.Event) error {
		count += len(events)
		return nil
	})
	sink := tracking.Multi(show, counter)
	_ = sink.Record(context.Background(), []tracking.Event{{Type: tracking.Clicked, URL: "https://example.com/oferta"}})
	fmt.Println(count)
	// Output:
	// clicked https://example.com/oferta
	// 1
}

func ExampleLog() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "event" || a.Key == "at" {
			return slog.Attr{}
		}
		return a
	}}))
	_ = tracking.Log(log).Record(context.Background(), []tracking.Event{{
		Type: tracking.Clicked, Campaign: "otoño", URL: "https://tienda.example/oferta", Machine: tracking.MachineHead | tracking.MachineNoAgent,
	}})
	// Output: level=INFO msg="mail clicked" campaign=otoño url=https://tienda.example/oferta machine=head,no-agent
}

func ExampleNewBatch() {
	slow := tracking.SinkFunc(func(_ context.Context, events []tracking.Event) error {
		fmt.Println(len(events), "events at once")
		return nil
	})
	batch, err := tracking.NewBatch(slow, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		_ = batch.Record(context.Background(), []tracking.Event{{ID: tracking.NewID(), Type: tracking.Opened}})
	}
	_ = batch.Close(context.Background())
	// Output: 3 events at once
}

func ExampleChan() {
	events := make(chan tracking.Event, 10)
	_ = tracking.Chan(events).Record(context.Background(), []tracking.Event{{Type: tracking.Opened}})
	fmt.Println((<-events).Type)
	// Output: opened
}
