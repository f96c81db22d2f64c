package queue

import (
	"container/heap"
	"maps"
	"slices"
	"sync"
	"time"
)

// The scheduler decides which flows a claim names. It holds what is due, not the
// jobs: a flow with a million jobs is one entry.
//
// A line is all flows of one lane and priority. Lines that may send wait in
// rings, one for each priority; greater priorities are served first. Inside a
// line tenants take turns, and so do the campaigns of a tenant. A line whose pool
// has no room is parked there, and comes back when the pool has room; so what is
// blocked is never looked at again and again, however much of it there is.
type scheduler struct {
	mu      sync.Mutex // guards all below, and the pools
	shaping *Shaping
	total   *pool
	pools   map[string]*pool
	lanes   map[string]*way
	unknown []string // lanes whose mail hosts are to be looked up
	flows   map[Flow]*flowState
	lines   map[lineKey]*line
	ready   rings // lines with due flows that are not parked
	later   flowHeap
	wakes   map[*pool]time.Time // when parked lines may have room again
	asking  map[*budget]bool    // budgets that are used up
	metered bool                // limits by the hour and the day are a Meter's
	crew    *crew               // who shares the store; nil: nobody
}

// total is the name of the pool of all mail.
const total = "total"

type lineKey struct {
	lane     string
	priority Priority
}

// flowState is a flow that is known to have jobs: either in later, or in its line.
type flowState struct {
	Flow
	due   time.Time
	index int // in later; -1 while in a line
	// While in a line: the earliest due time that was reported since the last
	// claim, and how many jobs the next claim asks for. It doubles while claims are
	// filled, so that a shallow flow takes no more room than it uses.
	next time.Time
	ask  int
}

const maxAsk = 64

// line holds the due flows of one lane and priority.
type line struct {
	key     lineKey
	way     *way
	tenants []*tenantFlows // the first is served next
	queued  bool           // in ready, in a parking, or about to be
}

// way is what is known of the way to a lane.
type way struct {
	pool    *pool     // that it draws on
	asked   time.Time // when its mail hosts were looked up; zero: never
	waiting []*line   // for the first answer
	known   bool      // an answer came, or none is needed
}

const (
	lookUpEvery = time.Hour
	// maxIdleLanes bounds the lanes that are remembered without having mail.
	maxIdleLanes = 20_000
)

type tenantFlows struct {
	tenant string
	flows  []*flowState // the first is served next
}

func newScheduler(s *Shaping, metered bool) *scheduler {
	return &scheduler{
		metered: metered,
		asking:  map[*budget]bool{},
		shaping: s,
		total:   newPool(total, nil, s.Total, metered),
		pools:   map[string]*pool{},
		lanes:   map[string]*way{},
		flows:   map[Flow]*flowState{},
		lines:   map[lineKey]*line{},
		wakes:   map[*pool]time.Time{},
	}
}

// due reports that a flow has a job that is due at the given time.
func (s *scheduler) due(f Flow, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state := s.flows[f]; {
	case state == nil:
		state = &flowState{Flow: f, due: at, ask: 1}
		s.flows[f] = state
		heap.Push(&s.later, state)
	case state.index < 0:
		if state.next.IsZero() || at.Before(state.next) {
			state.next = at
		}
	case at.Before(state.due):
		state.due = at
		heap.Fix(&s.later, state.index)
	}
}

// share is a claim to make, and the pool that holds room for it.
type share struct {
	FlowClaim
	pool *pool
}

// pick chooses what to claim, for up to limit attempts, and takes room for them in
// the pools. Each share must be answered by claimed.
func (s *scheduler) pick(now time.Time, limit int) []share {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crew != nil && s.crew.stopped(now) {
		return nil
	}
	s.advance(now)
	var shares []share
	var visited []*line
	for limit > 0 {
		room, again := s.total.room(now, s.asking)
		if room == 0 {
			s.wake(s.total, again)
			break
		}
		l := s.ready.pop()
		if l == nil {
			break
		}
		if len(l.tenants) == 0 {
			s.drop(l)
			continue
		}
		if !l.way.known {
			l.way.waiting = append(l.way.waiting, l)
			continue
		}
		p := l.way.pool
		n, again := p.room(now, s.asking)
		if n == 0 {
			p.parked.push(l)
			s.wake(p, again)
			continue
		}
		f := l.turn()
		n = min(n, room, limit, f.ask)
		if !f.next.After(now) { // this claim serves it
			f.next = time.Time{}
		}
		p.take(now, n)
		s.total.take(now, n)
		limit -= n
		shares = append(shares, share{FlowClaim{Flow: f.Flow, N: n}, p})
		visited = append(visited, l)
	}
	for _, l := range visited {
		s.ready.push(l)
	}
	return shares
}

// claimed answers a pick: of the jobs asked for, got were leased.
func (s *scheduler) claimed(now time.Time, asked share, got int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[asked.Flow]
	if got == asked.N {
		if f != nil && got == f.ask {
			f.ask = min(2*f.ask, maxAsk)
		}
		return
	}
	s.drained(f)
	s.release(now, asked.pool, asked.N-got)
}

// handBack returns room that was taken for n attempts which were not made.
func (s *scheduler) handBack(now time.Time, p *pool, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(now, p, n)
}

func (s *scheduler) release(now time.Time, p *pool, n int) {
	p.giveBack(now, n)
	s.total.giveBack(now, n)
	s.unpark(p, now)
}

// finished ends one attempt. failure is nil if the destination worked, whatever it
// said of the recipient. It returns the pool if that was suspended by it, else nil.
func (s *scheduler) finished(now time.Time, p *pool, started time.Time, failure *failure) (suspended *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.inUse--
	s.total.inUse--
	blamed := p
	if failure != nil && failure.everywhere {
		blamed = s.total
	}
	switch before := blamed.suspended; {
	case failure == noSign:
	case failure == nil:
		p.succeeded()
		s.total.succeeded()
	case blamed.failed(now, started, failure) && blamed.suspended.After(before):
		d := s.describe(blamed, now)
		suspended = &d
	}
	s.unpark(p, now)
	return suspended
}

// failure says that an attempt speaks against the destination, not the mail.
type failure struct {
	wait       time.Duration // that the reply asked for; 0 if none
	why        string
	everywhere bool // all mail takes this way: a relay
}

// noSign is in place of a failure when an attempt says nothing of the destination.
var noSign = &failure{}

// next is when pick should be asked again although nothing else happens; the zero
// time means never.
func (s *scheduler) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at time.Time
	if s.crew != nil && s.crew.stopped(time.Now()) {
		return at
	}
	if len(s.later) > 0 {
		at = s.later[0].due
	}
	for _, w := range s.wakes {
		if at.IsZero() || w.Before(at) {
			at = w
		}
	}
	return at
}

// advance moves flows that have become due into their lines, and lines whose pool
// may have room again out of parking.
func (s *scheduler) advance(now time.Time) {
	for len(s.later) > 0 && !s.later[0].due.After(now) {
		s.enter(heap.Pop(&s.later).(*flowState), now)
	}
	for p, at := range s.wakes {
		if !at.After(now) {
			delete(s.wakes, p)
			s.unpark(p, now)
		}
	}
}

// enter puts a due flow into its line, at the end of its tenant's turn.
func (s *scheduler) enter(f *flowState, now time.Time) {
	f.next = time.Time{}
	key := lineKey{f.Lane, f.Priority}
	l := s.lines[key]
	if l == nil {
		l = &line{key: key, way: s.way(f.Lane, now)}
		s.lines[key] = l
	}
	i := slices.IndexFunc(l.tenants, func(t *tenantFlows) bool { return t.tenant == f.Tenant })
	if i < 0 {
		l.tenants = append(l.tenants, &tenantFlows{tenant: f.Tenant})
		i = len(l.tenants) - 1
	}
	l.tenants[i].flows = append(l.tenants[i].flows, f)
	if !l.queued {
		l.queued = true
		s.ready.push(l)
	}
}

// turn returns the flow that is served next, and puts it and its tenant last.
func (l *line) turn() *flowState {
	t := l.tenants[0]
	f := t.flows[0]
	rotate(t.flows)
	rotate(l.tenants)
	return f
}

func rotate[T any](s []T) {
	first := s[0]
	copy(s, s[1:])
	s[len(s)-1] = first
}

// drained takes a flow that had fewer due jobs than asked for out of its line. It
// waits in later if more is known to come.
func (s *scheduler) drained(f *flowState) {
	if f == nil || f.index >= 0 {
		return
	}
	l := s.lines[lineKey{f.Lane, f.Priority}]
	for i, t := range l.tenants {
		if t.tenant != f.Tenant {
			continue
		}
		t.flows = slices.DeleteFunc(t.flows, func(other *flowState) bool { return other == f })
		if len(t.flows) == 0 {
			l.tenants = slices.Delete(l.tenants, i, i+1)
		}
		break
	}
	if f.next.IsZero() {
		delete(s.flows, f.Flow)
		return
	}
	f.due, f.ask = f.next, 1
	heap.Push(&s.later, f)
}

// drop forgets a line without flows that has just been taken from a ring.
func (s *scheduler) drop(l *line) {
	l.queued = false
	delete(s.lines, l.key)
}

// unpark brings back as many lines as the pool has room for.
func (s *scheduler) unpark(p *pool, now time.Time) {
	if p.parked.empty() {
		return
	}
	n, again := p.room(now, s.asking)
	for ; n > 0; n-- {
		l := p.parked.pop()
		if l == nil {
			return
		}
		s.ready.push(l)
	}
	s.wake(p, again)
}

// prune forgets what no flow needs: lanes without a line, unless their mail hosts
// were looked up of late, and pools without a lane that hold nothing worth keeping.
func (s *scheduler) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := map[string]bool{}
	for key := range s.lines {
		busy[key.lane] = true
	}
	used := map[*pool]bool{}
	for lane, w := range s.lanes {
		old := now.Sub(w.asked) >= lookUpEvery
		switch {
		case busy[lane] && old:
			s.lookUp(lane, w, now)
		case !busy[lane] && (old || len(s.lanes) > maxIdleLanes):
			delete(s.lanes, lane)
			continue
		}
		used[w.pool] = true
	}
	for name, p := range s.pools {
		if p.connections == 0 {
			s.dismiss(p)
		}
		if !used[p] && p.idle(now) {
			delete(s.pools, name)
			s.forget(p)
		}
	}
}

func (s *scheduler) forget(p *pool) {
	delete(s.wakes, p)
	for _, b := range p.budgets {
		delete(s.asking, b)
	}
}

func (s *scheduler) wake(p *pool, at time.Time) {
	if !at.IsZero() {
		s.wakes[p] = at
	}
}

// way returns what is known of a lane. One that is new draws on the pool of its
// domain, after its mail hosts were asked for, if they can be.
func (s *scheduler) way(lane string, now time.Time) *way {
	w := s.lanes[lane]
	if w == nil {
		w = &way{pool: s.poolOf(lane, s.shaping.provider(lane, nil)), known: s.shaping.MX == nil}
		s.lanes[lane] = w
		s.lookUp(lane, w, now)
	}
	return w
}

// lookUp asks for the mail hosts of a lane, where they can be looked up.
func (s *scheduler) lookUp(lane string, w *way, now time.Time) {
	if s.shaping.MX != nil {
		w.asked = now
		s.unknown = append(s.unknown, lane)
	}
}

// nextUnknown is a lane whose mail hosts are to be looked up; empty if there is none.
// It must be answered by assign, unanswered or postpone.
func (s *scheduler) nextUnknown() (lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unknown) > 0 {
		lane, s.unknown = s.unknown[0], s.unknown[1:]
	}
	return lane
}

// assign says which hosts take a lane's mail, as far as is known.
func (s *scheduler) assign(lane string, hosts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.lanes[lane]
	if w == nil {
		return
	}
	if p := s.poolOf(lane, s.shaping.provider(lane, hosts)); p != w.pool {
		s.unparkAll(w.pool) // this lane's lines go to the other pool; the rest parks again
		w.pool = p
	}
	s.admit(w)
}

// unanswered says that the mail hosts of a lane could not be looked up: it goes by
// what was known before.
func (s *scheduler) unanswered(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.lanes[lane]; w != nil {
		s.admit(w)
	}
}

// postpone has a lane looked up another time.
func (s *scheduler) postpone(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown = append(s.unknown, lane)
}

// admit lets the lines go on that waited for the way to be known.
func (s *scheduler) admit(w *way) {
	w.known = true
	for _, l := range w.waiting {
		s.ready.push(l)
	}
	w.waiting = nil
}

func (s *scheduler) unparkAll(p *pool) {
	for l := p.parked.pop(); l != nil; l = p.parked.pop() {
		s.ready.push(l)
	}
}

func (s *scheduler) poolOf(lane string, provider *Provider) *pool {
	name, limit := lane, s.shaping.Lane
	if limit.Connections == 0 {
		limit.Connections = defaultLaneConnections
	}
	if provider != nil {
		name, limit = provider.Name, provider.Limit
	}
	p := s.pools[name]
	if p == nil {
		p = newPool(name, provider, limit, s.metered)
		if s.shaping.MX != nil {
			p.allowed = min(p.allowed, firstAttempts)
		}
		s.divide(p)
		s.pools[name] = p
	}
	return p
}

func poolsOf(m map[string]*pool) []*pool { return slices.Collect(maps.Values(m)) }

// rings holds lines by priority, first in, first out.
type rings struct {
	levels []ring // greatest priority first
}

type ring struct {
	priority Priority
	lines    []*line
	head     int
}

func (r *rings) push(l *line) {
	i, found := slices.BinarySearchFunc(r.levels, l.key.priority, func(level ring, p Priority) int { return int(p) - int(level.priority) })
	if !found {
		r.levels = slices.Insert(r.levels, i, ring{priority: l.key.priority})
	}
	r.levels[i].lines = append(r.levels[i].lines, l)
}

// pop takes the line that has waited longest among those of the greatest priority.
func (r *rings) pop() *line {
	for i := range r.levels {
		level := &r.levels[i]
		if level.head == len(level.lines) {
			continue
		}
		l := level.lines[level.head]
		level.lines[level.head] = nil
		level.head++
		if level.head*2 > len(level.lines) {
			level.lines = append(level.lines[:0], level.lines[level.head:]...)
			level.head = 0
		}
		return l
	}
	return nil
}

func (r *rings) empty() bool {
	for _, level := range r.levels {
		if level.head < len(level.lines) {
			return false
		}
	}
	return true
}

// flowHeap is a heap of flows by due time.
type flowHeap []*flowState

func (h flowHeap) Len() int           { return len(h) }
func (h flowHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h flowHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *flowHeap) Push(x any) {
	f := x.(*flowState)
	f.index = len(*h)
	*h = append(*h, f)
}

func (h *flowHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	f.index = -1
	return f
}
