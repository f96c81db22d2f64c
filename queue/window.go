package queue

import "time"

// window counts, in memory, what was sent in the latest span of a Window, and says
// how much more may be. It is not safe for concurrent use.
type window struct {
	Window
	first  time.Time // the first time it was told: time passes from there as it really does
	counts [WindowSlots + 1]int
	total  int
	newest int64 // slot number of the newest count
}

// free is how many more may be sent now.
func (w *window) free(now time.Time) int {
	return w.Limit - w.sent(now)
}

// sent is how many were sent in the latest span.
func (w *window) sent(now time.Time) int {
	w.slide(w.Slot(w.steady(now)))
	return w.total
}

// steady is now by a clock that nobody sets: a jump of the wall clock neither opens
// the window nor shuts it for good.
func (w *window) steady(now time.Time) time.Time {
	if w.first.IsZero() {
		w.first = now
	}
	return w.first.Add(now.Sub(w.first))
}

// add counts n at now; a negative n takes back what was not used.
func (w *window) add(now time.Time, n int) {
	at := w.Slot(w.steady(now))
	w.slide(at)
	if at < w.newest-WindowSlots { // the clock went back: count it as the oldest
		at = w.newest - WindowSlots
	}
	i := at % (WindowSlots + 1)
	n = max(n, -w.counts[i])
	w.counts[i] += n
	w.total += n
}

// again is the earliest time at which free can have grown.
func (w *window) again(now time.Time) time.Time {
	steady := w.steady(now)
	w.slide(w.Slot(steady))
	for at := w.newest - WindowSlots; at <= w.newest; at++ {
		if w.counts[at%(WindowSlots+1)] > 0 {
			return now.Add(w.Free(at).Sub(steady))
		}
	}
	return now
}

func (w *window) slide(to int64) {
	if to <= w.newest {
		return
	}
	for at := max(w.newest+1, to-WindowSlots); at <= to; at++ {
		i := at % (WindowSlots + 1)
		w.total -= w.counts[i]
		w.counts[i] = 0
	}
	w.newest = to
}
