package queuetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
)

// hourly is a limit of a hundred an hour; noon is the beginning of one of its slots.
var hourly = queue.Window{Name: "pool", Limit: 100, Span: time.Hour}

// meterRules hold for stores that count what was sent.
var meterRules = onlyFor(func(s queue.Store) bool { _, ok := s.(queue.Meter); return ok }, []rule{
	{"Take", "Take grants what the window allows, and then says when to ask again", func(k *kit) {
		k.take(hourly, 70, noon, 70)
		k.take(hourly, 70, noon.Add(10*time.Minute), 30)
		again := k.take(hourly, 1, noon.Add(10*time.Minute), 0)
		require.Equal(k, noon.Add(time.Hour+time.Hour/queue.WindowSlots), again.UTC())
	}},
	{"TakeSlides", "what was sent leaves the window after its span, and no earlier", func(k *kit) {
		k.take(hourly, 70, noon, 70)
		k.take(hourly, 70, noon.Add(10*time.Minute), 30)
		again := k.take(hourly, 100, noon.Add(time.Hour), 0)
		k.take(hourly, 100, again.Add(-time.Nanosecond), 0)
		k.take(hourly, 100, again, 70)
		k.take(hourly, 100, again.Add(10*time.Minute), 30)
	}},
	{"TakeByName", "windows of another name or span are counted apart", func(k *kit) {
		k.take(hourly, 100, noon, 100)
		daily, elsewhere := hourly, hourly
		daily.Span, elsewhere.Name = 24*time.Hour, "another pool"
		k.take(daily, 100, noon, 100)
		k.take(elsewhere, 100, noon, 100)
	}},
	{"TakeLimit", "the limit is that of the call", func(k *kit) {
		k.take(hourly, 100, noon, 100)
		higher, none := hourly, hourly
		higher.Limit, none.Limit, none.Name = 120, 0, "none"
		k.take(higher, 100, noon, 20)
		require.True(k, k.take(none, 1, noon, 0).After(noon))
	}},
	{"Return", "what is returned can be taken again", func(k *kit) {
		k.take(hourly, 100, noon, 100)
		require.NoError(k, k.meter().Return(k.Context(), hourly, 40, noon))
		k.take(hourly, 100, noon.Add(time.Minute), 40)
		require.NoError(k, k.meter().Return(k.Context(), hourly, 1000, noon.AddDate(0, 0, -1)))
		k.take(hourly, 100, noon.Add(time.Minute), 0)
	}},
	{"TakeClockSetBack", "what a clock counted that has been set back since does not count, but for the next slot", func(k *kit) {
		slot := hourly.Span / queue.WindowSlots
		k.take(hourly, 60, noon.Add(2*slot), 60)
		k.take(hourly, 10, noon.Add(slot), 10)
		k.take(hourly, 100, noon, 90)
		k.take(hourly, 100, noon, 0)
	}},
	{"TakeBadInput", "windows without a span, and negative numbers, are refused", func(k *kit) {
		_, _, err := k.meter().Take(k.Context(), queue.Window{Name: "pool", Limit: 1}, 1, noon)
		require.Error(k, err)
		_, _, err = k.meter().Take(k.Context(), hourly, -1, noon)
		require.Error(k, err)
		require.Error(k, k.meter().Return(k.Context(), hourly, -1, noon))
		k.take(hourly, 100, noon, 100)
	}},
})

func (k *kit) meter() queue.Meter { return k.Store.(queue.Meter) }

// take takes n, and expects to be granted so many.
func (k *kit) take(w queue.Window, n int, now time.Time, want int) (again time.Time) {
	k.Helper()
	granted, again, err := k.meter().Take(k.Context(), w, n, now)
	require.NoError(k, err)
	require.Equal(k, want, granted)
	return again
}
