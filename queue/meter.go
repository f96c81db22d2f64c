package queue

import (
	"context"
	"time"
)

// Meter is an optional ability of a [Store]: it counts what was sent, so that
// hourly and daily limits hold across restarts, and for all processes that share
// the store together. Without it each Run counts for itself.
type Meter interface {
	// Take grants up to n of the messages that the window still allows. What is
	// granted counts as sent at now. If it grants none, again says when to ask next.
	Take(ctx context.Context, w Window, n int, now time.Time) (granted int, again time.Time, err error)
	// Return takes back what was granted at the given time and not used.
	Return(ctx context.Context, w Window, n int, granted time.Time) error
}

// Window is a limit on the messages in every span of time of this length, wherever
// it begins.
type Window struct {
	// Name tells what is limited: that of a pool.
	Name  string
	Limit int
	Span  time.Duration
}

// WindowSlots is how finely a window slides: time is cut into slots of
// Span/WindowSlots, counted from 1970, and what was sent leaves the window when the
// whole slot in which it was sent is older than Span. So the limit is never
// exceeded, and for 1/WindowSlots of the span what could be sent is not.
const WindowSlots = 20

// Slot is the number of the slot that t falls in. What was sent in slots from
// Slot(now)-WindowSlots on counts against the limit at now.
func (w Window) Slot(t time.Time) int64 { return t.UnixNano() / int64(w.Span/WindowSlots) }

// Free is when what was sent in a slot leaves the window.
func (w Window) Free(slot int64) time.Time {
	return time.Unix(0, (slot+WindowSlots+1)*int64(w.Span/WindowSlots))
}

// budget is what a Meter has granted and has not been used. It is guarded by the
// scheduler's mutex.
type budget struct {
	Window
	pool  *pool
	left  int
	since time.Time // of the grant
	again time.Time // when to ask next, after a refusal
}

// block is how much is asked for at once: little enough that a crash, which loses
// what was granted and not used, costs a twentieth of the limit at most.
func (b *budget) block() int { return max(1, min(b.Limit/20, 200)) }

// thirsty returns the budgets that are used up while lines wait for them.
func (s *scheduler) thirsty(now time.Time) (empty []*budget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.asking {
		if !now.Before(b.again) {
			b.Limit = b.pool.limitIn(b.Window, now)
			empty = append(empty, b)
		}
	}
	return empty
}

// granted adds to a budget, or notes when to ask again.
func (s *scheduler) granted(b *budget, n int, now, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= 0 && !again.After(now) { // a meter that names no time is not asked on and on
		again = now.Add(time.Second)
	}
	b.left += n
	b.since, b.again = now, again
	if n > 0 {
		delete(s.asking, b)
	}
	s.unpark(b.pool, now)
}

// leftovers empties the budgets that were granted in a slot before that of the given
// time: used any later, they would count in a span in which they were not sent.
func (s *scheduler) leftovers(before time.Time) (unused []budget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range append([]*pool{s.total}, poolsOf(s.pools)...) {
		for _, b := range p.budgets {
			if b.left > 0 && b.Slot(b.since) < b.Slot(before) {
				unused = append(unused, *b)
				b.left = 0
			}
		}
	}
	return unused
}

// refill asks the store for what the budgets need.
func (r *run) refill(now time.Time) {
	if r.meter == nil {
		return
	}
	for _, b := range r.sched.thirsty(now) {
		granted, again, err := r.meter.Take(r.attempts, b.Window, b.block(), now)
		if err != nil {
			r.opts.Log.Error("queue: limit could not be counted", "pool", b.Name, "err", err)
			granted, again = 0, now.Add(time.Second)
		}
		r.sched.granted(b, granted, now, again)
	}
}

// handBack returns to the store what was granted before and not used.
func (r *run) handBack(before time.Time) {
	for _, b := range r.sched.leftovers(before) {
		if err := r.meter.Return(r.storing, b.Window, b.left, b.since); err != nil {
			r.opts.Log.Error("queue: unused share of a limit not returned", "pool", b.Name, "err", err)
		}
	}
}
