package pgqueue

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gatherer has calls done together that come while others are under way: one
// transaction for all of them costs little more than one for each.
type gatherer[T any] struct {
	run func(ctx context.Context, group []T) error

	came chan struct{} // says to a leader who waits that someone came

	mu       sync.Mutex // guards the others
	waiting  []*call[T]
	leaders  int           // how many groups are under way, or about to be
	expected int           // how many calls there were when the last group was done
	pause    time.Duration // how long to wait for one more of them
}

type call[T any] struct {
	in   T
	err  error
	turn chan bool // whether it is to lead the next group; otherwise it is done
}

const (
	// crowded is how many must wait for a second group to be worth it: it computes
	// while the first waits for the disk. Fewer are better off together.
	crowded   = 32
	groupSize = 256
	// groupTimeout ends what a silent server would keep for ever.
	groupTimeout = time.Minute
)

func newGatherer[T any](run func(context.Context, []T) error) *gatherer[T] {
	return &gatherer[T]{run: run, came: make(chan struct{}, 1)}
}

// do has in done with a group. Who comes while none is under way leads one, and a
// leader names the next.
func (g *gatherer[T]) do(ctx context.Context, in T) error {
	c := &call[T]{in: in, turn: make(chan bool, 1)}
	leads := g.join(c)
	if !leads {
		select {
		case leads = <-c.turn:
		case <-ctx.Done():
			if g.withdraw(c) {
				return context.Cause(ctx)
			}
			leads = <-c.turn
		}
	}
	if leads {
		g.lead(ctx, c)
	}
	return c.err
}

// join has c wait, unless it is to lead a group at once.
func (g *gatherer[T]) join(c *call[T]) (leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaders < groups(len(g.waiting)+1) {
		g.leaders++
		return true
	}
	g.waiting = append(g.waiting, c)
	select {
	case g.came <- struct{}{}:
	default:
	}
	return false
}

// groups is how many groups are worth it for n that wait.
func groups(n int) int {
	switch {
	case n == 0:
		return 0
	case n < crowded:
		return 1
	}
	return 2
}

// await waits for those whom the last group has released, while they come again sooner
// than the disk would take for them: one commit for all is faster than two for half
// of them each.
func (g *gatherer[T]) await() {
	for {
		g.mu.Lock()
		missing, pause := 1+len(g.waiting) < g.expected, g.pause
		g.mu.Unlock()
		if !missing {
			return
		}
		select {
		case <-g.came:
		case <-time.After(pause):
			return
		}
	}
}

// lead runs c and what waits. It goes on when the leader's own context ends: the
// others of the group have theirs.
func (g *gatherer[T]) lead(ctx context.Context, c *call[T]) {
	g.await()
	g.mu.Lock()
	n := min(groupSize, 1+len(g.waiting))
	group := append([]*call[T]{c}, g.waiting[:n-1]...)
	g.waiting = slices.Delete(g.waiting, 0, n-1)
	g.mu.Unlock()
	in := make([]T, n)
	for i, c := range group {
		in[i] = c.in
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTimeout)
	defer cancel()
	begun := time.Now()
	err := g.run(ctx, in)
	g.handOver(n, time.Since(begun))
	for _, c := range group {
		c.err = err
		c.turn <- false
	}
}

// handOver names who leads next, if that many groups are still worth it. One of n has
// taken so long.
func (g *gatherer[T]) handOver(n int, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected, g.pause = min(n+len(g.waiting), groupSize), took/time.Duration(max(8, 2*n))
	if g.leaders > groups(len(g.waiting)) {
		g.leaders--
		return
	}
	g.waiting[0].turn <- true
	g.waiting = slices.Delete(g.waiting, 0, 1)
}

// withdraw takes back a call that no one has begun, and reports whether it could.
func (g *gatherer[T]) withdraw(c *call[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, c)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}
