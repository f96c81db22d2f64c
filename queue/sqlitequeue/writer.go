package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// writer is the only one that writes to the file. It commits what has gathered
// while it was at work as one transaction, so that a hundred callers share a sync
// of the disk, and one caller does not wait for others.
type writer struct {
	*conn
	calls chan *call
	ended chan struct{} // closed when the loop has returned

	// flows and templates are numbers of rows that are known to be in the file.
	flows     map[queue.Flow]int64
	templates map[queue.Hash]int64
	// newest is no less than any ID in the file.
	newest tracking.ID
	// used is nil while no sweep looks for what is not.
	used *used

	// Of the transaction under way:
	coming   int         // new jobs
	finished [states]int // jobs more in each state
	commits  []func()    // to run when it is durable
	aborts   []func()    // to run when it is rolled back
}

// states is the number of states.
const states = len(queue.Stats{}.ByState)

// A group is bounded, so that the first of its callers does not wait long.
const groupSize = 512

// cacheSize bounds the numbers of flows, and of templates, that are known without
// asking the file.
const cacheSize = 1 << 16

// call is one change that a caller waits for. Its do refuses before it changes
// anything, or fails with an engineError.
type call struct {
	do    func(*writer) error
	taken atomic.Bool // by the writer, or back by a caller that gave up
	err   error
	done  chan struct{}
}

// write has the writer do something, and returns when it is durable. When ctx ends
// before the writer has begun, nothing is done.
func (s *Store) write(ctx context.Context, do func(*writer) error) error {
	c := &call{do: do, done: make(chan struct{})}
	select {
	case s.writer.calls <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	if c.taken.CompareAndSwap(false, true) {
		return context.Cause(ctx)
	}
	<-c.done
	return c.err
}

func (s *Store) runWriter() {
	defer close(s.writer.ended)
	for c := range s.writer.calls {
		s.commit(s.writer.gather(c))
	}
}

// gather takes in all that wait. The callers of the last group may be just about
// to come back, so others get their turn first, as long as that brings more.
func (w *writer) gather(first *call) []*call {
	for waiting := -1; waiting < len(w.calls); {
		waiting = len(w.calls)
		runtime.Gosched()
	}
	group := []*call{}
	for c := first; ; {
		if c.taken.CompareAndSwap(false, true) {
			group = append(group, c)
		}
		if len(group) == groupSize {
			return group
		}
		select {
		case next, ok := <-w.calls:
			if !ok {
				return group
			}
			c = next
		default:
			return group
		}
	}
}

// commit makes the calls durable, all in one transaction. If one of them is at
// fault each gets its own, so that one too large for the disk takes no other with
// it.
func (s *Store) commit(group []*call) {
	err := s.transact(group)
	if err != nil && (len(group) == 1 || errors.Is(err, queue.ErrLocked)) {
		for _, c := range group {
			c.err = err
		}
	} else if err != nil {
		for _, c := range group {
			if err := s.transact([]*call{c}); err != nil {
				c.err = err
			}
		}
	}
	for _, c := range group {
		close(c.done)
	}
}

// transact runs the calls in one transaction. Refusals are left in the calls.
func (s *Store) transact(group []*call) (err error) {
	w := s.writer
	defer func() {
		w.coming, w.finished, w.commits, w.aborts = 0, [states]int{}, w.commits[:0], w.aborts[:0]
	}()
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, c := range group {
		c.err = c.do(w)
		var broken *engineError
		if errors.As(c.err, &broken) {
			s.rollback()
			return c.err
		}
	}
	if err = w.saveFinished(); err == nil {
		_, err = w.exec("COMMIT")
	}
	if err != nil {
		s.rollback()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range w.commits {
		f()
	}
	return nil
}

func (s *Store) rollback() {
	w := s.writer
	_, _ = w.exec("ROLLBACK") // fails if SQLite has rolled back by itself
	clear(w.flows)
	clear(w.templates)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range w.aborts {
		f()
	}
}

// saveFinished keeps the number of finished jobs in the file, so that opening need
// not count them.
func (w *writer) saveFinished() error {
	for state, n := range w.finished {
		if n == 0 {
			continue
		}
		_, err := w.exec("UPDATE meta SET value = value + ? WHERE name = ?", int64(n), endedName(queue.State(state)))
		if err != nil {
			return err
		}
	}
	return nil
}

func endedName(state queue.State) string { return fmt.Sprintf("ended %d", state) }

// onCommit has f run, with the schedule locked, when the transaction is durable.
func (w *writer) onCommit(f func()) { w.commits = append(w.commits, f) }

// onAbort has f run, with the schedule locked, when it is rolled back.
func (w *writer) onAbort(f func()) { w.aborts = append(w.aborts, f) }
