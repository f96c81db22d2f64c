package smtp

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// PoolOptions tune how connections are kept and shared. The zero value is ready
// for use.
type PoolOptions struct {
	// MaxConns is the most connections to one server. Zero means 10.
	MaxConns int
	// MaxInFlight is the most messages that one connection carries before the first
	// of them is answered, which the server must allow by PIPELINING. A connection
	// that breaks leaves up to so many outcomes indeterminate. It is approached
	// from one, as messages are accepted. Zero means 32; one waits for each answer.
	MaxInFlight int
	// MaxMessages is the most messages that one connection carries. Zero means as
	// many as the server takes.
	MaxMessages int
	// IdleTimeout is how long a connection is kept without work. Zero means 30
	// seconds.
	IdleTimeout time.Duration
	// MaxAge is the age at which a connection gets no more work. Zero means 5
	// minutes.
	MaxAge time.Duration
}

func (o PoolOptions) withDefaults() PoolOptions {
	if o.MaxConns == 0 {
		o.MaxConns = 10
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 32
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 30 * time.Second
	}
	if o.MaxAge == 0 {
		o.MaxAge = 5 * time.Minute
	}
	return o
}

// pool keeps sessions and shares them among callers. Who comes first is served
// first.
type pool struct {
	options PoolOptions
	// transactions keeps memory for reuse. Each pool has its own, so that their
	// channels stay in the testing/synctest bubble in which they were made.
	transactions sync.Pool

	// mu guards what follows, and the pool's fields of sessions. A session's lock may
	// be held when it is taken, never the other way round.
	mu       sync.Mutex
	hosts    map[targetKey]*poolHost
	sessions map[*session]struct{} // alive
	closed   bool
	changed  chan struct{} // closed and replaced when a session ends, once closed
	stats    Stats
}

// poolHost is the sessions to one target, and those who wait for one.
type poolHost struct {
	key      targetKey
	sessions []*session // may get work
	dialing  int
	waiting  []*waiter
	// window is how many messages one session may carry at once; credit counts
	// towards its growth, and falls how often it had to shrink.
	window, credit, falls int
}

type waiter struct {
	need  need
	ready chan grant // capacity 1
}

// grant is a session, or the right to dial one.
type grant struct{ session *session }

// need is what a transaction asks of its session.
type need struct {
	alone bool // carries nothing else meanwhile
	fresh bool // has carried nothing before, if there is room for another
	most  int  // messages that it may carry in all; 0 is any number
}

// Stats counts what a transport holds and has done.
type Stats struct {
	Open    int // connections
	Busy    int // of these, carrying messages
	Waiting int // calls of Send that wait for a connection
	// Dialed counts connections, and Sent messages that a server accepted for at
	// least one recipient, since the beginning.
	Dialed, Sent uint64
}

func newPool(options PoolOptions) *pool {
	return &pool{
		options:  options.withDefaults(),
		hosts:    make(map[targetKey]*poolHost),
		sessions: make(map[*session]struct{}),
		changed:  make(chan struct{}),
	}
}

// acquire returns a session to t with room for one more transaction. Its caller
// submits one to it, or releases it.
func (p *pool) acquire(ctx context.Context, t *target, n need) (*session, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	h := p.host(t.targetKey)
	if len(h.waiting) == 0 {
		if s := p.pick(h, n); s != nil {
			p.mu.Unlock()
			return s, nil
		}
		if len(h.sessions)+h.dialing < p.options.MaxConns {
			h.dialing++
			p.mu.Unlock()
			return p.dial(ctx, t, h, n)
		}
	}
	w := &waiter{need: n, ready: make(chan grant, 1)}
	h.waiting = append(h.waiting, w)
	p.mu.Unlock()
	return p.wait(ctx, t, h, w)
}

func (p *pool) host(key targetKey) *poolHost {
	h := p.hosts[key]
	if h == nil {
		h = &poolHost{key: key, window: 1}
		p.hosts[key] = h
	}
	return h
}

// pick finds a session with room: an idle one, the last used first, or the least
// loaded. p.mu is held.
func (p *pool) pick(h *poolHost, n need) *session {
	another := len(h.sessions)+h.dialing < p.options.MaxConns
	if n.fresh && another {
		return nil
	}
	var best *session
	for _, s := range slices.Backward(h.sessions) {
		if s.exclusive || s.spent.Load() || p.sated(s) || s.load >= p.room(h, s) || n.alone && s.load > 0 {
			continue
		}
		if another && n.most > 0 && s.served >= n.most {
			continue
		}
		if best == nil || s.load < best.load {
			best = s
		}
		if best.load == 0 {
			break
		}
	}
	if best != nil {
		p.assign(best, n)
	}
	return best
}

// room is how many transactions a session may hold. With DATA, the next one waits
// for its turn in the session so that it can ride behind the body.
func (p *pool) room(h *poolHost, s *session) int {
	switch {
	case !s.abilities.pipelining:
		return 1
	case !s.chunked():
		return min(h.window, 3)
	}
	return h.window
}

func (p *pool) assign(s *session, n need) {
	s.load++
	s.served++
	s.exclusive = n.alone
	s.most = leastOf(s.most, n.most)
}

func (p *pool) dial(ctx context.Context, t *target, h *poolHost, n need) (*session, error) {
	s, err := dialSession(ctx, t)
	p.mu.Lock()
	defer p.mu.Unlock()
	h.dialing--
	if err == nil && p.closed {
		_ = s.conn.Close()
		err = ErrClosed
	}
	if err != nil {
		p.serve(h)
		p.forget(h)
		return nil, err
	}
	s.pool, s.host = p, h
	h.sessions = append(h.sessions, s)
	p.sessions[s] = struct{}{}
	p.stats.Dialed++
	p.assign(s, n)
	go s.run()
	p.serve(h)
	return s, nil
}

func (p *pool) wait(ctx context.Context, t *target, h *poolHost, w *waiter) (*session, error) {
	select {
	case g, ok := <-w.ready:
		return p.redeem(ctx, t, h, w, g, ok)
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(h.waiting, w); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
		p.serve(h)
		p.mu.Unlock()
		return nil, ended(ctx)
	}
	p.mu.Unlock()
	if g, ok := <-w.ready; ok { // it came too late: give it back
		p.giveBack(h, g)
	}
	return nil, ended(ctx)
}

func (p *pool) redeem(ctx context.Context, t *target, h *poolHost, w *waiter, g grant, ok bool) (*session, error) {
	switch {
	case !ok:
		return nil, ErrClosed
	case g.session != nil:
		return g.session, nil
	}
	return p.dial(ctx, t, h, w.need)
}

func (p *pool) giveBack(h *poolHost, g grant) {
	if g.session != nil {
		p.release(g.session)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h.dialing--
	p.serve(h)
}

// serve grants what there is to those who wait, in order. p.mu is held.
func (p *pool) serve(h *poolHost) {
	for len(h.waiting) > 0 {
		w := h.waiting[0]
		g := grant{p.pick(h, w.need)}
		if g.session == nil {
			if len(h.sessions)+h.dialing >= p.options.MaxConns {
				return
			}
			h.dialing++
		}
		h.waiting = slices.Delete(h.waiting, 0, 1)
		w.ready <- g
	}
}

// release takes back the place of a transaction that never began.
func (p *pool) release(s *session) {
	if p.free(s, 1, 0) {
		s.quit()
	}
}

// free takes back the places of n transactions, of which some were accepted. It
// reports whether the session shall quit. The session's lock may be held.
func (p *pool) free(s *session, n, accepted int) (quit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.load -= n
	s.exclusive = false
	p.stats.Sent += uint64(accepted)
	s.host.grow(accepted, p.options.MaxInFlight)
	worn := p.worn(s)
	if worn {
		p.withdraw(s)
	}
	p.serve(s.host)
	return s.load == 0 && (worn || s.spent.Load())
}

// worn reports whether s shall get no more work.
func (p *pool) worn(s *session) bool {
	return p.closed || p.sated(s) || time.Since(s.first.Started) >= p.options.MaxAge
}

// sated reports whether s has carried as many messages as it may.
func (p *pool) sated(s *session) bool {
	most := leastOf(leastOf(s.abilities.mailMax, p.options.MaxMessages), s.most)
	return most > 0 && s.served >= most
}

// leastOf is the lesser of two limits, of which zero means none.
func leastOf(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// grow widens the window after clean answers, the slower the more often it had to
// be closed.
func (h *poolHost) grow(accepted, most int) {
	if accepted == 0 || h.window >= most {
		return
	}
	h.credit += accepted
	if step := 1 << min(h.falls, 10); h.credit >= step {
		h.window = min(h.window+h.credit/step, most)
		h.credit %= step
	}
}

// shrink closes the window after a session broke under messages.
func (h *poolHost) shrink() {
	h.window, h.credit = 1, 0
	h.falls++
}

// withdraw stops handing out s. p.mu is held.
func (p *pool) withdraw(s *session) {
	if i := slices.Index(s.host.sessions, s); i >= 0 {
		s.host.sessions = slices.Delete(s.host.sessions, i, i+1)
	}
}

// leaveAt is when s, which is idle now, will have been so for too long, or be too old.
func (p *pool) leaveAt(s *session) time.Time {
	idle, old := time.Now().Add(p.options.IdleTimeout), s.first.Started.Add(p.options.MaxAge)
	if old.Before(idle) {
		return old
	}
	return idle
}

// retire withdraws s if it is idle, and reports whether it was.
func (p *pool) retire(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.load > 0 {
		return false
	}
	p.withdraw(s)
	p.serve(s.host)
	return true
}

// remove forgets a session that has ended.
func (p *pool) remove(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.load > 1 {
		s.host.shrink()
	}
	p.withdraw(s)
	delete(p.sessions, s)
	p.serve(s.host)
	p.forget(s.host)
	if p.closed {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// forget drops a host that nobody uses. One that misbehaved is remembered as long
// as it has sessions. p.mu is held.
func (p *pool) forget(h *poolHost) {
	if len(h.sessions)+h.dialing+len(h.waiting) == 0 && p.hosts[h.key] == h {
		delete(p.hosts, h.key)
	}
}

func (p *pool) snapshot() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	stats.Open = len(p.sessions)
	for s := range p.sessions {
		if s.load > 0 {
			stats.Busy++
		}
	}
	for _, h := range p.hosts {
		stats.Waiting += len(h.waiting)
	}
	return stats
}

// shutdown lets no more work in and waits for what there is; then it says QUIT to
// all. When ctx ends first, it drops what is left.
func (p *pool) shutdown(ctx context.Context) error {
	for _, s := range p.close() {
		if p.retire(s) {
			s.quit()
		}
	}
	for {
		p.mu.Lock()
		left, changed := len(p.sessions), p.changed
		p.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.drop()
			return ended(ctx)
		}
	}
}

// drop closes the pool and all of its connections at once.
func (p *pool) drop() {
	for _, s := range p.close() {
		s.fail(ErrClosed)
		<-s.ended
	}
}

// close turns away who waits, and lists the sessions that are alive.
func (p *pool) close() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.hosts {
		for _, w := range h.waiting {
			close(w.ready)
		}
		h.waiting = nil
	}
	return slices.Collect(maps.Keys(p.sessions))
}

// alive lists the sessions that are.
func (p *pool) alive() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.sessions))
}
