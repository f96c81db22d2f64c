package queue

import "time"

// A pool shares one Limit: a provider's, a lane's, or that of all mail. It also
// adapts: after failures to connect or replies that ask for less it allows fewer
// attempts at once, then none for a while, and each success gives one back.
// Pools are guarded by the scheduler's mutex.
type pool struct {
	name     string
	provider *Provider // nil for a lane of its own and for the total
	limit    Limit
	windows  []*window // limits that are counted here
	budgets  []*budget // limits that a Meter counts

	inUse       int
	connections int // this worker's share of limit.Connections; 0: it sends nothing here
	allowed     int // attempts at once, as adapted; never more than limit.Connections

	suspended time.Time // no attempt before
	why       string    // for people: the reply that suspended it
	failures  int       // in a row, of attempts that began after the one before had failed
	failedAt  time.Time

	parked rings // lines that wait for room
}

// Adaptation follows a rule that mail servers have long used: concurrency falls
// on failure, grows by one on success, and after some failures in a row it is
// the destination that is dead for a while, not the mail.
const (
	failuresToSuspend = 3
	firstSuspension   = time.Minute
	maxSuspension     = 4 * time.Hour
	// maxOutage is the longest that all mail waits for a relay that is down.
	maxOutage = 5 * time.Minute
	recovered = 64 // attempts at once that lift an adapted pool without a limit
	// firstAttempts go to a destination at once until one has shown that it answers:
	// servers that hang would soon hold all attempts that may be under way.
	firstAttempts = 2
	unlimited     = 1 << 30

	defaultLaneConnections = 10
)

// newPool returns a pool. Limits by the hour and the day are left to a Meter if
// there is one.
func newPool(name string, provider *Provider, limit Limit, metered bool) *pool {
	p := &pool{name: name, provider: provider, limit: limit, allowed: limit.Connections}
	if p.allowed == 0 {
		p.allowed = unlimited
	}
	p.connections = p.allowed
	for _, w := range []Window{
		{Name: name, Limit: limit.PerSecond, Span: time.Second},
		{Name: name, Limit: limit.PerHour, Span: time.Hour},
		{Name: name, Limit: limit.PerDay, Span: day},
	} {
		warming := provider != nil && len(provider.Warmup) > 0 && w.Span == day
		switch {
		case w.Limit == 0 && !warming:
		case metered && w.Span > time.Second:
			p.budgets = append(p.budgets, &budget{Window: w, pool: p})
		default:
			p.windows = append(p.windows, &window{Window: w})
		}
	}
	return p
}

const day = 24 * time.Hour

// limitIn is the limit of a window at now, given the warm-up; 0 is none.
func (p *pool) limitIn(w Window, now time.Time) int {
	if w.Span == day && p.provider != nil {
		return p.provider.day(now)
	}
	return w.Limit
}

// room is how many attempts may start now. When that is 0 because of time, and not
// because all connections are in use, again says when to ask next; a budget that is
// used up is put into asking.
func (p *pool) room(now time.Time, asking map[*budget]bool) (n int, again time.Time) {
	if p.connections == 0 {
		return 0, time.Time{}
	}
	if now.Before(p.suspended) {
		return 0, p.suspended
	}
	n = min(p.allowed, p.connections) - p.inUse
	for _, w := range p.windows {
		if w.Limit = p.limitIn(w.Window, now); w.Limit == 0 {
			continue
		}
		free := w.free(now)
		if free <= 0 {
			again = later(again, w.again(now))
		}
		n = min(n, free)
	}
	for _, b := range p.budgets {
		if p.limitIn(b.Window, now) == 0 {
			continue
		}
		if b.left == 0 {
			asking[b] = true
			again = later(again, b.again)
		}
		n = min(n, b.left)
	}
	return max(n, 0), again
}

// take starts n attempts; giveBack undoes it for those that were not made.
func (p *pool) take(now time.Time, n int) {
	p.inUse += n
	for _, w := range p.windows {
		w.add(now, n)
	}
	for _, b := range p.budgets {
		b.left = max(b.left-n, 0)
	}
}

func (p *pool) giveBack(now time.Time, n int) {
	p.inUse -= n
	for _, w := range p.windows {
		w.add(now, -n)
	}
	for _, b := range p.budgets {
		b.left += n
	}
}

// idle reports whether a new pool would do as well as this one. Failures are
// remembered for a while after the last.
func (p *pool) idle(now time.Time) bool {
	for _, w := range p.windows {
		if w.sent(now) > 0 {
			return false
		}
	}
	for _, b := range p.budgets {
		if b.left > 0 {
			return false
		}
	}
	return p.provider == nil && p.inUse == 0 && p.parked.empty() && !now.Before(p.suspended) &&
		(p.failedAt.IsZero() || now.Sub(p.failedAt) > 2*maxSuspension)
}

// succeeded notes that the destination works.
func (p *pool) succeeded() {
	p.failures, p.why = 0, ""
	full := p.limit.Connections
	if full == 0 {
		full = recovered
	}
	if p.allowed < full {
		p.allowed++
	}
	if p.allowed == recovered && p.limit.Connections == 0 {
		p.allowed = unlimited
	}
}

// failed notes a failure of the destination, in an attempt that began at started.
// The pool is suspended when the reply named a wait, or after some failures in a
// row; those that were under way together count as one. It reports whether the pool
// is suspended.
func (p *pool) failed(now, started time.Time, f *failure) bool {
	if !started.Before(p.failedAt) {
		p.failures++
		p.failedAt = now
		p.allowed = max(1, min(p.allowed, max(p.inUse, 2))/2)
	}
	wait := f.wait
	if p.failures >= failuresToSuspend {
		wait = max(wait, firstSuspension<<min(p.failures-failuresToSuspend, 10))
	}
	longest := maxSuspension
	if p.name == total {
		longest = maxOutage
	}
	if until := now.Add(min(wait, longest)); wait > 0 && until.After(p.suspended) {
		p.suspended, p.why = until, f.why
	}
	return now.Before(p.suspended)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
