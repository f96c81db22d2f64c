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
	lanes   map[string]*pool // which pool a lane draws on
	flows   map[Flow]*flowState
	lines   map[lineKey]*line
	ready   rings // lines with due flows that are not parked
	later   flowHeap
	wakes   map[*pool]time.Time // when parked lines may have room again
	asking  map[*budget]bool    // budgets that are used up
	metered bool                // limits by the hour and the day are a Meter's
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
	pool    *pool
	tenants []*tenantFlows // the first is served next
	queued  bool           // in ready, in a parking, or about to be
}

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
		lanes:   map[string]*pool{},
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
		n, again := l.pool.room(now, s.asking)
		if n == 0 {
			l.pool.parked.push(l)
			s.wake(l.pool, again)
			continue
		}
		f := l.turn()
		n = min(n, room, limit, f.ask)
		if !f.next.After(now) { // this claim serves it
			f.next = time.Time{}
		}
		l.pool.take(now, n)
		s.total.take(now, n)
		limit -= n
		shares = append(shares, share{FlowClaim{Flow: f.Flow, N: n}, l.pool})
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
	if failure == nil {
		p.succeeded()
		s.total.succeeded()
	} else if before := blamed.suspended; blamed.failed(now, started, failure) && blamed.suspended.After(before) {
		d := blamed.describe(now)
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

// next is when pick should be asked again although nothing else happens; the zero
// time means never.
func (s *scheduler) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at time.Time
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
		s.enter(heap.Pop(&s.later).(*flowState))
	}
	for p, at := range s.wakes {
		if !at.After(now) {
			delete(s.wakes, p)
			s.unpark(p, now)
		}
	}
}

// enter puts a due flow into its line, at the end of its tenant's turn.
func (s *scheduler) enter(f *flowState) {
	f.next = time.Time{}
	key := lineKey{f.Lane, f.Priority}
	l := s.lines[key]
	if l == nil {
		l = &line{key: key, pool: s.pool(f.Lane)}
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

// prune forgets what no flow needs: lanes without a line, and their pools when
// they hold nothing worth keeping.
func (s *scheduler) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := map[string]bool{}
	for key := range s.lines {
		busy[key.lane] = true
	}
	for lane, p := range s.lanes {
		if !busy[lane] {
			delete(s.lanes, lane)
		}
		if !busy[lane] && p.provider == nil && p.idle(now) {
			delete(s.pools, p.name)
		}
	}
}

func (s *scheduler) wake(p *pool, at time.Time) {
	if !at.IsZero() {
		s.wakes[p] = at
	}
}

// pool returns the pool that a lane draws on, by its domain until assign knows
// better.
func (s *scheduler) pool(lane string) *pool {
	p := s.lanes[lane]
	if p == nil {
		p = s.poolOf(lane, s.shaping.provider(lane, nil))
		s.lanes[lane] = p
	}
	return p
}

// assign says which hosts take a lane's mail.
func (s *scheduler) assign(lane string, hosts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.poolOf(lane, s.shaping.provider(lane, hosts))
	s.lanes[lane] = p
	for key, l := range s.lines {
		if key.lane == lane {
			l.pool = p
		}
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
