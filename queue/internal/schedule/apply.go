package schedule

import (
	"slices"

	"github.com/franqueo/franqueo/queue"
)

// Next is the state into which action takes a job, and whether it takes it there.
// Retry of a ready job only moves its due time.
func Next(state queue.State, action queue.Action) (queue.State, bool) {
	switch action {
	case queue.Cancel:
		return queue.Cancelled, state == queue.Ready || state == queue.Held
	case queue.Hold:
		return queue.Held, state == queue.Ready
	case queue.Release:
		return queue.Ready, state == queue.Held
	case queue.Retry:
		return queue.Ready, state == queue.Ready || state == queue.Bounced || state == queue.Cancelled
	}
	return state, false
}

// From lists the states that action takes jobs from.
func From(action queue.Action) []queue.State {
	var from []queue.State
	for state := range queue.State(states) {
		if _, ok := Next(state, action); ok {
			from = append(from, state)
		}
	}
	return from
}

// Scope is what a standing hold covers: the flows that meet every field that is
// set.
type Scope struct{ Lane, Tenant, Campaign string }

// ScopeOf is the scope of a filter that names nothing but lane, tenant and
// campaign. Others say nothing about jobs to come.
func ScopeOf(f queue.Filter) (Scope, bool) {
	return Scope{f.Lane, f.Tenant, f.Campaign}, len(f.IDs) == 0 && f.Address == "" && len(f.States) == 0
}

// Covers reports whether the flow is in the scope.
func (s Scope) Covers(f queue.Flow) bool {
	return covers(s.Lane, f.Lane) && covers(s.Tenant, f.Tenant) && covers(s.Campaign, f.Campaign)
}

// Within reports whether all that s covers is also covered by outer.
func (s Scope) Within(outer Scope) bool {
	return covers(outer.Lane, s.Lane) && covers(outer.Tenant, s.Tenant) && covers(outer.Campaign, s.Campaign)
}

func covers(pattern, s string) bool { return pattern == "" || pattern == s }

// Holds is the set of standing holds.
type Holds struct{ scopes []Scope }

// Add puts a hold in place.
func (h *Holds) Add(s Scope) {
	if !slices.Contains(h.scopes, s) {
		h.scopes = append(h.scopes, s)
	}
}

// Lift removes every hold that is within the scope.
func (h *Holds) Lift(outer Scope) {
	h.scopes = slices.DeleteFunc(h.scopes, func(s Scope) bool { return s.Within(outer) })
}

// Arrival is the state of a ready job that arrives in the flow.
func (h *Holds) Arrival(f queue.Flow) queue.State {
	for _, s := range h.scopes {
		if s.Covers(f) {
			return queue.Held
		}
	}
	return queue.Ready
}

// Stand puts the standing hold in place that a Hold asks for, or lifts those that
// a Release covers.
func (s *Schedule) Stand(f queue.Filter, action queue.Action) {
	scope, ok := ScopeOf(f)
	switch {
	case ok && action == queue.Hold:
		s.holds.Add(scope)
	case ok && action == queue.Release:
		s.holds.Lift(scope)
	}
}
