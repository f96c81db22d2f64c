// Package schedule orders the unfinished jobs of a store in memory: a heap by due
// time in each flow, the leases, and the holds. Stores that one process owns
// share it. It holds no more than it needs to say which job is next, about 60
// bytes a job, and nothing that must survive: a store loads it when it opens.
package schedule

import (
	"errors"
	"math"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// Schedule is the order in which jobs are due. It is not safe for concurrent use.
type Schedule struct {
	entries slab
	index   index
	flows   map[queue.Flow]*flow
	numbers []*flow // by entry.flow; nil where a number is free
	spare   []uint32
	leases  map[uint32]*lease // by slot
	token   uint64
	holds   Holds
	ended   [states]int
}

// flow is the jobs of one queue.Flow.
type flow struct {
	name   queue.Flow
	number uint32
	// heap has the slots of all ready jobs and all leased ones by due time.
	heap                []uint32
	ready, leased, held int
}

// lease is what is known of a leased job. While it lasts, the entry's due time is
// its end.
type lease struct {
	token uint64
	due   int64 // before the claim
	// state is where the job goes when it is settled as deferred, or when the
	// lease runs out.
	state queue.State
	until int64
	// settling says that a change is on its way to the disk.
	settling bool
}

// states is the number of states.
const states = len(queue.Stats{}.ByState)

// busy is the due time of a job that is being settled: no claim may take it.
const busy = math.MaxInt64

// Claimed is a job that a claim has leased.
type Claimed struct {
	ID    tracking.ID
	Token uint64
	Flow  queue.Flow
}

// New returns an empty schedule, whose tokens are greater than those of every
// schedule with a smaller epoch.
func New(epoch uint64) *Schedule {
	return &Schedule{
		flows:  map[queue.Flow]*flow{},
		leases: map[uint32]*lease{},
		token:  epoch << 40,
	}
}

// Len counts the jobs that are not finished.
func (s *Schedule) Len() int { return s.index.len }

// Has reports whether the job is known and not finished.
func (s *Schedule) Has(id tracking.ID) bool {
	_, ok := s.index.find(&s.entries, id)
	return ok
}

// Add takes in a new job that is ready or held.
func (s *Schedule) Add(id tracking.ID, name queue.Flow, due time.Time, state queue.State) {
	f := s.flow(name)
	slot := s.entries.add(entry{id: id, due: Millis(due), flow: f.number, pos: outside})
	s.index.add(&s.entries, slot)
	s.enter(slot, state)
}

// enter puts a slot that is in no heap where its state says.
func (s *Schedule) enter(slot uint32, state queue.State) {
	f := s.numbers[s.entries.at(slot).flow]
	if state == queue.Held {
		f.held++
		return
	}
	f.ready++
	s.push(f, slot)
}

func (s *Schedule) flow(name queue.Flow) *flow {
	if f, ok := s.flows[name]; ok {
		return f
	}
	f := &flow{name: name}
	if n := len(s.spare); n > 0 {
		f.number, s.spare = s.spare[n-1], s.spare[:n-1]
		s.numbers[f.number] = f
	} else {
		f.number = uint32(len(s.numbers))
		s.numbers = append(s.numbers, f)
	}
	s.flows[name] = f
	return f
}

// drop forgets a job, and its flow if it was the last.
func (s *Schedule) drop(slot uint32) {
	e := s.entries.at(slot)
	f := s.numbers[e.flow]
	if e.pos != outside {
		s.remove(f, slot)
	}
	s.index.remove(&s.entries, e.id)
	s.entries.free(slot)
	if f.ready+f.held+len(f.heap) == 0 {
		delete(s.flows, f.name)
		s.numbers[f.number] = nil
		s.spare = append(s.spare, f.number)
	}
}

// Claim leases up to N due jobs of each named flow until the given time.
func (s *Schedule) Claim(now, until time.Time, claims []queue.FlowClaim) ([]Claimed, error) {
	if Millis(until) <= Millis(now) {
		return nil, errors.New("queue: claim until " + until.String() + " is not after now")
	}
	var out []Claimed
	for _, c := range claims {
		if f := s.flows[c.Flow]; f != nil {
			out = s.claim(out, f, Millis(now), Millis(until), c.N)
		}
	}
	return out, nil
}

func (s *Schedule) claim(out []Claimed, f *flow, now, until int64, n int) []Claimed {
	for n > 0 && len(f.heap) > 0 {
		slot := f.heap[0]
		e := s.entries.at(slot)
		if e.due > now {
			break
		}
		l, ok := s.leases[slot]
		if ok && l.state != queue.Ready {
			s.end(slot, l.state, l.due)
			continue
		}
		if !ok {
			l = &lease{due: e.due}
			s.leases[slot] = l
			f.leased++
		}
		s.token++
		l.token, l.until = s.token, until
		s.reschedule(f, slot, until)
		out = append(out, Claimed{ID: e.id, Token: l.token, Flow: f.name})
		n--
	}
	return out
}

// Unclaim gives back what Claim leased, as if it had not been.
func (s *Schedule) Unclaim(claimed []Claimed) {
	for _, c := range claimed {
		if slot, l := s.lease(c.ID); l != nil && l.token == c.Token && !l.settling {
			s.end(slot, l.state, l.due)
		}
	}
}

// Discard forgets a job that cannot be read.
func (s *Schedule) Discard(id tracking.ID) {
	slot, ok := s.index.find(&s.entries, id)
	if !ok {
		return
	}
	s.leave(slot)
	s.drop(slot)
}

func (s *Schedule) lease(id tracking.ID) (uint32, *lease) {
	slot, ok := s.index.find(&s.entries, id)
	if !ok {
		return 0, nil
	}
	return slot, s.leases[slot]
}

// Extend moves the end of a lease, and reports whether the token is current.
func (s *Schedule) Extend(id tracking.ID, token uint64, until time.Time) bool {
	slot, l := s.lease(id)
	if l == nil || l.token != token || l.settling {
		return false
	}
	l.until = Millis(until)
	s.reschedule(s.flowOf(slot), slot, l.until)
	return true
}

// Begin keeps a leased job from being claimed or settled by others until Settle
// or Abort, and reports whether the token is current.
func (s *Schedule) Begin(id tracking.ID, token uint64) bool {
	slot, l := s.lease(id)
	if l == nil || l.token != token || l.settling {
		return false
	}
	l.settling = true
	s.reschedule(s.flowOf(slot), slot, busy)
	return true
}

// Abort undoes Begin.
func (s *Schedule) Abort(id tracking.ID) {
	if slot, l := s.lease(id); l != nil && l.settling {
		l.settling = false
		s.reschedule(s.flowOf(slot), slot, l.until)
	}
}

// Settle ends the lease of a job that Begin has taken. It returns the state that
// the job now has: a job settled as ready can have been held or cancelled while
// it was leased.
func (s *Schedule) Settle(id tracking.ID, state queue.State, due time.Time) queue.State {
	slot, l := s.lease(id)
	if state == queue.Ready || state == queue.Held && l.state == queue.Cancelled {
		state = l.state
	}
	if l.state == queue.Cancelled {
		s.ended[queue.Cancelled]--
	}
	s.settle(slot, state, Millis(due))
	return state
}

func (s *Schedule) settle(slot uint32, state queue.State, due int64) {
	if state > queue.Held {
		s.ended[state]++
	}
	s.end(slot, state, due)
}

// end takes the lease from a job and puts the job where state says.
func (s *Schedule) end(slot uint32, state queue.State, due int64) {
	s.leave(slot)
	if state > queue.Held {
		s.drop(slot)
		return
	}
	s.entries.at(slot).due = due
	s.enter(slot, state)
}

// leave takes a slot out of its heap and its counts, and ends its lease.
func (s *Schedule) leave(slot uint32) {
	f, l := s.flowOf(slot), s.leases[slot]
	state := queue.Held
	switch {
	case l != nil:
		state = l.state
		delete(s.leases, slot)
		if state == queue.Ready {
			f.leased--
		}
	case s.entries.at(slot).pos != outside:
		state = queue.Ready
	}
	switch state {
	case queue.Ready:
		f.ready--
	case queue.Held:
		f.held--
	}
	if s.entries.at(slot).pos != outside {
		s.remove(f, slot)
	}
}

// Apply moves a job from one state to another, by the host's wish, and keeps the
// counts. Only a job that comes back from being finished needs its flow. A zero
// due time leaves the job's own.
func (s *Schedule) Apply(id tracking.ID, name queue.Flow, from, to queue.State, due time.Time) {
	slot, known := s.index.find(&s.entries, id)
	if from > queue.Held {
		s.ended[from]--
	}
	if to > queue.Held {
		s.ended[to]++
	}
	if !known {
		if to <= queue.Held {
			s.Add(id, name, due, to)
		}
		return
	}
	if l := s.leases[slot]; l != nil {
		s.turn(slot, l, to)
		return
	}
	at := s.entries.at(slot).due
	if !due.IsZero() {
		at = Millis(due)
	}
	s.end(slot, to, at)
}

// turn changes what becomes of a leased job.
func (s *Schedule) turn(slot uint32, l *lease, to queue.State) {
	f := s.flowOf(slot)
	count := func(state queue.State, n int) {
		switch state {
		case queue.Ready:
			f.ready += n
			f.leased += n
		case queue.Held:
			f.held += n
		}
	}
	count(l.state, -1)
	count(to, +1)
	l.state = to
}

// Leased reports whether the job is leased.
func (s *Schedule) Leased(id tracking.ID) bool {
	_, l := s.lease(id)
	return l != nil && !l.settling
}

// End counts n jobs more in a state in which jobs are finished.
func (s *Schedule) End(state queue.State, n int) { s.ended[state] += n }

// Holds is where the standing holds are.
func (s *Schedule) Holds() *Holds { return &s.holds }

// Ready is a flow with a ready job, and when the first of them is due.
type Ready struct {
	Flow queue.Flow
	Due  time.Time
}

// Flows appends the flows with a ready job.
func (s *Schedule) Flows(dst []Ready) []Ready {
	for _, f := range s.flows {
		if due, ok := s.first(f); ok {
			dst = append(dst, Ready{f.name, due})
		}
	}
	return dst
}

func (s *Schedule) first(f *flow) (time.Time, bool) {
	if f.ready == 0 || len(f.heap) == 0 {
		return time.Time{}, false
	}
	due := s.entries.at(f.heap[0]).due
	return Time(due), due != busy
}

// Stats counts the jobs.
func (s *Schedule) Stats() queue.Stats {
	st := queue.Stats{ByState: s.ended, Flows: make(map[queue.Flow]queue.FlowStats, len(s.flows))}
	for name, f := range s.flows {
		if f.ready+f.held == 0 {
			continue
		}
		due, ok := s.first(f)
		if ok && (st.Oldest.IsZero() || due.Before(st.Oldest)) {
			st.Oldest = due
		}
		st.ByState[queue.Ready] += f.ready
		st.ByState[queue.Held] += f.held
		st.Leased += f.leased
		st.Flows[name] = queue.FlowStats{Ready: f.ready, Leased: f.leased, Held: f.held, Oldest: due}
	}
	return st
}

func (s *Schedule) flowOf(slot uint32) *flow { return s.numbers[s.entries.at(slot).flow] }

// Millis is t as Unix milliseconds; 0 is the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time undoes Millis, in UTC.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
