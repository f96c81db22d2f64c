package schedule

import (
	"time"

	"github.com/franqueo/franqueo/queue"
)

// Grant is what a window still allows of n, when so many were sent in each slot, and
// if that is nothing, when to ask again. Slots beyond the next were counted by a
// clock that has been set back since: they do not count.
func Grant(w queue.Window, sent map[int64]int, n int, now time.Time) (granted int, again time.Time) {
	newest := w.Slot(now) + 1 // clocks of several processes differ a little
	oldest := newest - 1 - queue.WindowSlots
	used, first := 0, int64(0)
	for slot, count := range sent {
		if slot < oldest || slot > newest || count <= 0 {
			continue
		}
		if used == 0 || slot < first {
			first = slot
		}
		used += count
	}
	granted = max(0, min(n, w.Limit-used))
	switch {
	case granted > 0:
		return granted, time.Time{}
	case used == 0: // a limit of none
		return 0, now.Add(w.Span)
	}
	return 0, w.Free(first)
}
