package queue

import (
	"bytes"
	"hash/fnv"
	"slices"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

// A crew is the workers among which this one divides the limits of every pool. It is
// guarded by the scheduler's mutex.
//
// Every member takes the same share of a limit, and what is left over goes to those
// whom the pool's name picks out. Whoever counts on more members takes no more of
// anything than who counts on fewer of them. So no sum exceeds its limit as long as
// each who sends counts on all others who do, and that is kept up so:
//
//   - Who finds somebody new makes room at once, and says that it has (by its view) when
//     what it had begun fits its new share.
//   - Who is new sends nothing before all others have said so.
//   - Who is not heard for timeToLive stops, as the others will go on without it. It
//     comes back as somebody new.
//   - Who has gone is counted on for as long as what it sent last counts in a rate.
type crew struct {
	self    tracking.ID
	members []member // by ID, this one included
	// active are those with a share of the limits of all mail, which is all but when
	// there are more workers than those limits allow anything at all.
	active  []tracking.ID
	changed time.Time // when the members did
	view    uint64    // that the others are told of
	started bool      // all others count on this one
	until   time.Time // when it stops unless it is heard again
}

type member struct {
	id     tracking.ID
	missed time.Time // when it was first found to have gone; zero while it lives
}

const (
	// timeToLive is how long a worker goes on that is not heard. The store has it live
	// for longer, by trail.
	timeToLive = 5 * time.Second
	// trail is how long what was sent counts in a rate by the second.
	trail = time.Second + time.Second/WindowSlots
	// patience is how long others wait at most for attempts that no longer fit.
	patience = 10 * time.Second
)

// newCrew is a worker that knows of nobody yet.
func newCrew() *crew {
	id := tracking.NewID()
	return &crew{self: id, view: viewOf([]tracking.ID{id})}
}

// viewOf stands for a set of workers, given by ID.
func viewOf(ids []tracking.ID) uint64 {
	h := fnv.New64a()
	for _, id := range ids {
		h.Write(id[:])
	}
	return h.Sum64()
}

func (c *crew) ids() []tracking.ID {
	ids := make([]tracking.ID, len(c.members))
	for i, m := range c.members {
		ids[i] = m.id
	}
	return ids
}

// stopped reports whether the worker may send nothing.
func (c *crew) stopped(now time.Time) bool { return !c.started || passed(now, c.until) }

// passed reports whether a time has come: by the process's clock, or by that on the
// wall, which also goes on while a machine sleeps.
func passed(now, t time.Time) bool { return !now.Before(t) || !now.Round(0).Before(t.Round(0)) }

// meet takes in who is alive, in the order of their IDs, and reports whether that
// changes the crew.
func (c *crew) meet(alive []Worker, now time.Time) (changed bool) {
	before := c.ids()
	members := make([]member, 0, len(alive))
	for _, w := range alive {
		members = append(members, member{id: w.ID})
	}
	for _, m := range c.members {
		if slices.ContainsFunc(alive, func(w Worker) bool { return w.ID == m.id }) {
			continue
		}
		if m.missed.IsZero() {
			m.missed = now
		}
		if now.Sub(m.missed) < trail {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.id[:], b.id[:]) })
	c.members = members
	if changed = !slices.Equal(before, c.ids()); changed {
		c.changed = now
	}
	return changed
}

// counted reports whether all others have said that they count on those who are
// alive, this one among them.
func (c *crew) counted(alive []Worker) bool {
	ids := make([]tracking.ID, len(alive))
	for i, w := range alive {
		ids[i] = w.ID
	}
	view := viewOf(ids)
	return !slices.ContainsFunc(alive, func(w Worker) bool { return w.ID != c.self && w.View != view })
}

// settled reports whether nothing is about to change by itself.
func (c *crew) settled() bool {
	gone := slices.ContainsFunc(c.members, func(m member) bool { return !m.missed.IsZero() })
	return c.started && !gone && c.view == viewOf(c.ids())
}

// choose finds the active members, given the limits of all mail. Who may send nothing
// at all must not hold the only share of a pool. That is the one thing by which a crew
// that shrinks can lower a share: where there are that many workers, those who do not
// agree yet can exceed the limit of a pool for a second, but not that of all mail.
func (c *crew) choose(l Limit) {
	ids := c.ids()
	n := l.sharers(len(ids))
	c.active = slices.DeleteFunc(slices.Clone(ids), func(id tracking.ID) bool { return rank(total, id, ids) >= n })
}

// place is this worker's rank in a pool, among so many. Only a rank that is less than
// their number has a share.
func (c *crew) place(pool string) (at, among int) {
	ids := c.active
	if pool == total {
		ids = c.ids()
	} else if !slices.Contains(ids, c.self) {
		return len(ids), len(ids)
	}
	return rank(pool, c.self, ids), len(ids)
}

// rank is how many of the others a pool prefers.
func rank(pool string, id tracking.ID, ids []tracking.ID) (n int) {
	own := weight(pool, id)
	for _, other := range ids {
		if w := weight(pool, other); w > own || w == own && bytes.Compare(other[:], id[:]) > 0 {
			n++
		}
	}
	return n
}

// weight is how much a pool prefers a worker: at random, and the same everywhere.
func weight(pool string, id tracking.ID) uint64 {
	h := fnv.New64a()
	h.Write([]byte(pool))
	h.Write(id[:])
	x := h.Sum64() // its high bits say little of the last bytes: mix them
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// part is the share that a rank has of a limit, among so many.
func part(limit, rank, among int) int {
	if rank >= among {
		return 0
	}
	return max(0, limit-rank+among-1) / among
}

// enlist makes this Run a worker among others. It sends nothing before it has heard
// of them.
func (s *scheduler) enlist() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crew = newCrew()
}

// retire ends what enlist began, and returns the ID that the others are to forget.
func (s *scheduler) retire() tracking.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.crew.self
	s.crew = nil
	return id
}

// stopped reports whether nothing may be sent now, because other workers do not count
// on this one.
func (s *scheduler) stopped(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crew != nil && s.crew.stopped(now)
}

// report is what the others are to know, and the ID that they are to forget if they
// may take it for dead: then it is somebody else from now on.
func (s *scheduler) report(now time.Time) (w Worker, dead tracking.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.crew; !c.until.IsZero() && passed(now, c.until) {
		dead = c.self
		s.crew = newCrew()
	}
	c := s.crew
	age := now.Sub(c.changed)
	if len(c.members) > 0 && (age >= patience || age >= trail && s.fits()) {
		c.view = viewOf(c.ids())
	}
	return Worker{c.self, c.view}, dead
}

// fits reports whether no more attempts are under way anywhere than the shares allow.
func (s *scheduler) fits() bool {
	if s.total.inUse > s.total.connections {
		return false
	}
	for _, p := range s.pools {
		if p.inUse > p.connections {
			return false
		}
	}
	return true
}

// heard takes in what the store answered to a heartbeat that was sent at the given
// time. It reports whether there is no more to come of it soon.
func (s *scheduler) heard(sent, now time.Time, alive []Worker) (settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.crew
	if !c.until.IsZero() && passed(now, c.until) {
		return false // too late: the others may have gone on without it
	}
	c.until = sent.Add(timeToLive)
	changed := c.meet(alive, now)
	if changed {
		c.choose(s.total.limit)
	}
	if !c.started && c.counted(alive) {
		c.started, changed = true, true
	}
	if changed {
		s.redivide(now)
	}
	return c.settled()
}

// redivide gives every pool its share anew, and brings back the lines that have room.
func (s *scheduler) redivide(now time.Time) {
	s.divide(s.total)
	for _, p := range s.pools {
		s.divide(p)
		s.unpark(p, now)
	}
}

// divide gives a pool this worker's share of its limits.
func (s *scheduler) divide(p *pool) {
	if s.crew != nil {
		p.divide(s.crew.place(p.name))
	}
}

// divide leaves to the pool the share of a rank among so many. Where a limit is too
// small for all the first few have all of it, so that nobody holds a connection and
// may not use it.
func (p *pool) divide(rank, among int) {
	among = p.limit.sharers(among)
	p.connections = unlimited
	if p.limit.Connections > 0 {
		p.connections = part(p.limit.Connections, rank, among)
	}
	if rank >= among {
		p.connections = 0
	}
	for _, w := range p.windows {
		if w.Span == time.Second {
			w.Limit = part(p.limit.PerSecond, rank, among)
		}
	}
}

// sharers is how many of so many workers can have a share of what workers divide.
func (l Limit) sharers(n int) int {
	for _, limit := range []int{l.Connections, l.PerSecond} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	return n
}

// dismiss forgets the flows that wait for a pool which is left to the others. The
// store names those that are still there with each sweep.
func (s *scheduler) dismiss(p *pool) {
	for l := p.parked.pop(); l != nil; l = p.parked.pop() {
		for _, t := range l.tenants {
			for _, f := range t.flows {
				delete(s.flows, f.Flow)
			}
		}
		s.drop(l)
	}
}
