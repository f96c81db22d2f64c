package pgqueue

import (
	"context"
	"slices"
	"sync"
)

// gatherer has calls done together that come while others are under way: one
// transaction for all of them costs little more than one for each.
type gatherer[T any] struct {
	// run must end by itself.
	run func(ctx context.Context, group []T) error
	// slot is taken while a group is under way, and crowd by a second one.
	slot, crowd chan struct{}

	mu      sync.Mutex // guards waiting
	waiting []*call[T]
}

type call[T any] struct {
	in   T
	err  error
	done chan struct{}
}

const (
	// crowded is how many must wait for a second group to be worth it: it computes
	// while the first waits for the disk. Fewer are better off together.
	crowded   = 32
	groupSize = 256
)

func newGatherer[T any](run func(context.Context, []T) error) *gatherer[T] {
	return &gatherer[T]{run: run, slot: make(chan struct{}, 1), crowd: make(chan struct{}, 1)}
}

// do has in done with a group. Whoever finds a slot free leads the next group.
func (g *gatherer[T]) do(ctx context.Context, in T) error {
	c := &call[T]{in: in, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	var crowd chan struct{}
	if len(g.waiting) >= crowded {
		crowd = g.crowd
	}
	g.mu.Unlock()
	for {
		select {
		case <-c.done:
			return c.err
		case g.slot <- struct{}{}:
			g.lead(ctx)
			<-g.slot
		case crowd <- struct{}{}:
			g.lead(ctx)
			<-crowd
		case <-ctx.Done():
			if g.withdraw(c) {
				return context.Cause(ctx)
			}
			<-c.done
			return c.err
		}
	}
}

// lead runs what waits. It goes on when the leader's own context ends: the others
// of the group have theirs.
func (g *gatherer[T]) lead(ctx context.Context) {
	g.mu.Lock()
	n := min(groupSize, len(g.waiting))
	group := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()
	if n == 0 {
		return
	}
	in := make([]T, n)
	for i, c := range group {
		in[i] = c.in
	}
	err := g.run(context.WithoutCancel(ctx), in)
	for _, c := range group {
		c.err = err
		close(c.done)
	}
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
