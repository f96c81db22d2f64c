package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// deliver sends l to the recipients of the given indexes through t, and fills
// their outcomes in. The error, an [*Error], says that no server judged those whose
// outcome was left alone: another target may be tried for them.
func (p *pool) deliver(ctx context.Context, t *target, l *letter, rcpts []int, out *Result) error {
	if l.message.TLS == TLSRequire {
		t = t.requiringTLS()
	}
	n := need{alone: l.stream, most: l.message.MaxOnConnection}
	for len(rcpts) > 0 {
		s, err := p.acquire(ctx, t, n)
		if err != nil {
			return connectError(err, t)
		}
		now, later := s.split(l, rcpts)
		if misfits, err := s.misfits(l, now); err != nil {
			p.release(s)
			out.fail(misfits, err, s.again)
			rcpts = slices.DeleteFunc(rcpts, func(i int) bool { return slices.Contains(misfits, i) })
			continue
		}
		left, stale := s.attempt(ctx, l, now, out)
		if !stale || n.fresh {
			rcpts = append(left, later...)
			continue
		}
		// Nothing can have been accepted: once more, on a connection of our own.
		n.fresh = true
	}
	return nil
}

func connectError(err error, t *target) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Phase: PhaseConnect, Host: t.host, Err: err}
}

// maxRecipients is the most recipients of one transaction, where the server names
// no limit of its own.
const maxRecipients = 1000

// split says which recipients go in the next transaction (RFC 9422), and which
// after it.
func (s *session) split(l *letter, rcpts []int) (now, later []int) {
	most := s.abilities.rcptMax
	if most == 0 {
		most = maxRecipients
	}
	if s.abilities.rcptDomainMax == 0 {
		most = min(most, len(rcpts))
		return rcpts[:most:most], rcpts[most:]
	}
	domains := make(map[string]bool)
	for _, i := range rcpts {
		domain := l.to[i].domain
		if len(now) == most || !domains[domain] && len(domains) == s.abilities.rcptDomainMax {
			later = append(later, i)
			continue
		}
		domains[domain] = true
		now = append(now, i)
	}
	return now, later
}

// misfits are the recipients to whom the server lacks what it takes to send l.
func (s *session) misfits(l *letter, rcpts []int) ([]int, error) {
	a := &s.abilities
	var cause error
	switch {
	case a.size > 0 && l.size() > a.size:
		cause = ErrTooLarge
	case !a.eightBit && l.facts.eightBit:
		cause = ErrNeed8Bit
	case !a.utf8 && l.utf8(nil):
		cause = ErrNeedUTF8
	case l.message.TLS == TLSRequire && (!a.requireTLS || !s.first.TLSVerified):
		cause = ErrNoRequireTLS
	case !a.utf8 && l.utf8(rcpts):
		cause = ErrNeedUTF8
		rcpts = slices.DeleteFunc(slices.Clone(rcpts), func(i int) bool { return !l.to[i].utf8() })
	default:
		return nil, nil
	}
	return rcpts, &Error{Phase: PhaseMail, Host: s.target.host, Err: cause, Class: ErrPermanent}
}

func (p *pool) newTransaction(ctx context.Context, l *letter, rcpts []int) *transaction {
	t, ok := p.transactions.Get().(*transaction)
	if !ok {
		t = &transaction{wake: make(chan struct{}, 1)}
	}
	t.letter, t.rcpts, t.trace = l, rcpts, contextTrace(ctx)
	if cap(t.verdicts) < len(rcpts) {
		t.verdicts = make([]verdict, len(rcpts))
	}
	t.verdicts = t.verdicts[:len(rcpts)]
	return t
}

// recycle keeps the memory of a transaction that is done and that nobody holds.
func (p *pool) recycle(t *transaction) {
	clear(t.verdicts)
	select {
	case <-t.wake:
	default:
	}
	*t = transaction{wake: t.wake, verdicts: t.verdicts[:0]}
	p.transactions.Put(t)
}

// attempt runs one transaction and fills in the outcomes of its recipients. left
// are those whom the server may take in another transaction. stale says that the
// connection, which had been used before, ended while nothing could be accepted.
func (s *session) attempt(ctx context.Context, l *letter, rcpts []int, out *Result) (left []int, stale bool) {
	t := s.pool.newTransaction(ctx, l, rcpts)
	if err := s.submit(t); err != nil {
		s.pool.release(s)
		s.pool.recycle(t)
		out.fail(rcpts, &Error{Phase: PhaseMail, Host: s.target.host, Err: err}, s.again)
		return nil, true
	}
	if err := s.await(ctx, t); err != nil {
		out.fail(rcpts, err, s.again)
		return nil, false
	}
	defer s.pool.recycle(t)
	return s.describe(t, out), t.stale() && ctx.Err() == nil
}

// stale reports whether t came to nothing because its session was at its end.
func (t *transaction) stale() bool {
	if t.first {
		return false
	}
	return t.mail.Code == 421 || t.failed != nil && !t.committed && t.possible()
}

// await serves the caller's side of a transaction until it is done, or until ctx
// ends or the body fails; then the error is an [*Error] and t belongs to the session.
func (s *session) await(ctx context.Context, t *transaction) error {
	var linger <-chan time.Time
	done := ctx.Done()
	for {
		events, over, pour := s.look(t)
		t.trace.play(events)
		switch {
		case over:
			return nil
		case pour:
			if err := s.pour(ctx, t); err != nil {
				return s.abort(t, err)
			}
			continue
		}
		select {
		case <-t.wake:
		case <-linger:
			return s.leave(t, ended(ctx))
		case <-done:
			if phase, ok := s.abandon(t, ended(ctx)); ok {
				return &Error{Phase: phase, Host: s.target.host, Err: ended(ctx)}
			}
			done = nil
			timer := time.NewTimer(s.target.timeouts.Linger)
			defer timer.Stop()
			linger = timer.C
		}
	}
}

func (s *session) look(t *transaction) (events []traceEvent, over, pour bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, t.events = t.events, nil
	return events, t.done, t.data == dataWanted && !t.done
}

// abandon gives t up for its caller, unless it is done or has been written. One
// that is alone takes its connection along, and is soon done.
func (s *session) abandon(t *transaction, cause error) (Phase, bool) {
	s.mu.Lock()
	defer s.unlock()
	phase := s.phase(t)
	switch {
	case t.done || t.end > 0 && t.end <= s.sent:
		return "", false
	case t.next == 0 && s.unqueue(t):
	case len(s.flight) == 1:
		s.failLocked(cause)
		return "", false
	case s.retract(t):
	case t.end > 0:
		return "", false // a part of it is out, and others are in flight
	default:
		t.abandoned = true
		s.advance()
	}
	return phase, true
}

// retract takes a whole transaction back out of the output.
func (s *session) retract(t *transaction) bool {
	if t.end == 0 || t.start < s.handed {
		return false
	}
	size := t.end - t.start
	s.out = slices.Delete(s.out, int(t.start-s.handed), int(t.end-s.handed))
	s.expected.remove(t)
	for e := range s.expected.all() {
		if e.end > t.start {
			e.end -= size
		}
	}
	for _, other := range s.flight {
		if other.start > t.start {
			other.start -= size
			other.end = max(0, other.end-size)
		}
	}
	s.finish(t)
	s.dirty = true // its RSET may have gone with it
	return true
}

// unqueue takes back a transaction that has not begun.
func (s *session) unqueue(t *transaction) bool {
	for i, other := range s.queue {
		if other == t {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			s.freed++
			return true
		}
	}
	return false
}

// leave stops waiting for a final reply.
func (s *session) leave(t *transaction, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.abandoned = true
	return &Error{Phase: PhaseEndOfData, Host: s.target.host, Err: cause, Class: ErrIndeterminate}
}

// abort hangs up in the middle of a body that cannot be continued, so that the
// server never takes a part for the whole.
func (s *session) abort(t *transaction, err error) error {
	s.fail(err)
	return &Error{Phase: PhaseData, Host: s.target.host, Err: err}
}

const pourBlock = 64 << 10

var pourBlocks = sync.Pool{New: func() any { return new([pourBlock]byte) }}

// pour sends the body of a streamed letter. It runs in the caller's goroutine, and
// hangs up if the body panics.
func (s *session) pour(ctx context.Context, t *transaction) error {
	whole := false
	defer func() {
		if !whole {
			s.fail(errBody)
		}
	}()
	body, err := t.letter.open()
	if err != nil {
		return err
	}
	defer body.Close()
	block := pourBlocks.Get().(*[pourBlock]byte)
	defer pourBlocks.Put(block)
	line := atLineStart
	for size := int64(0); ; {
		n, err := io.ReadFull(body, block[:])
		size += int64(n)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		switch {
		case err != nil && !last:
			return fmt.Errorf("read content: %w", err)
		case last && size != t.letter.size():
			return errChanged
		}
		more, err := s.put(ctx, t, block[:n], line, last)
		if err != nil {
			return err
		}
		if last || !more {
			whole = true
			return nil
		}
		if line = insideLine; n > 0 && block[n-1] == '\n' {
			line = atLineStart
		}
	}
}

var errBody = errors.New("the message could not be read to its end")

// put appends a block of the body when there is room, and reports whether the
// server wants more.
func (s *session) put(ctx context.Context, t *transaction, block []byte, line lineState, last bool) (more bool, err error) {
	s.mu.Lock()
	defer s.unlock()
	for len(s.out) >= maxOut && s.err == nil && t.noData.Code == 0 {
		s.mu.Unlock()
		select {
		case <-t.wake:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return false, ended(ctx)
		}
	}
	if s.err != nil {
		t.data = dataPoured
		return false, nil // its outcome comes with the end of the session
	}
	switch refused := t.noData.Code != 0; {
	case refused:
		last = true
	case !s.chunked():
		s.out = appendStuffed(s.out, block, line)
		if last {
			s.endData(t)
		}
	case last:
		s.appendChunk(t, expectFinal, block)
	default:
		s.appendChunk(t, expectChunk, block)
	}
	if last {
		t.data = dataPoured
	}
	s.advance()
	s.flush()
	return !last, nil
}
