package schedule

import (
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// What follows is for stores that write a schedule down and make another from it:
// each job that is in the schedule, with its lease if it has one, the scopes of the
// holds, in order, and the token.

// Token is that of the latest claim.
func (s *Schedule) Token() uint64 { return s.token }

// Resume makes the tokens of later claims greater than this one.
func (s *Schedule) Resume(token uint64) { s.token = token }

// LeaseOf returns the token and the end of a job's lease, also one that has run out.
func (s *Schedule) LeaseOf(id tracking.ID) (token uint64, until time.Time, ok bool) {
	_, l := s.lease(id)
	if l == nil {
		return 0, time.Time{}, false
	}
	return l.token, Time(l.until), true
}

// AddLeased takes in a job that is leased. It was due at the given time before, and
// goes into the state when the lease ends.
func (s *Schedule) AddLeased(id tracking.ID, name queue.Flow, due time.Time, state queue.State, token uint64, until time.Time) {
	s.Add(id, name, due, queue.Ready)
	slot, _ := s.index.find(&s.entries, id)
	f, l := s.flowOf(slot), &lease{token: token, due: Millis(due), until: Millis(until)}
	s.leases[slot] = l
	f.leased++
	s.reschedule(f, slot, l.until)
	s.turn(slot, l, state)
}

// First is when the first job of a flow is due, or its lease ends; false if it has
// none.
func (s *Schedule) First(name queue.Flow) (time.Time, bool) {
	f := s.flows[name]
	if f == nil {
		return time.Time{}, false
	}
	return s.first(f)
}

// Scopes returns what is held, in the order in which it came.
func (h *Holds) Scopes() []Scope { return slices.Clone(h.scopes) }
