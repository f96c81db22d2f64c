package smtp

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// Failover is a transport that sends by the first of several transports, and
// what that surely did not send by the next, and so on. Each recipient has the
// outcome of the last transport that it was tried on.
//
// The next transport gets a recipient that was not tried, or deferred, unless the
// server deferred this very recipient (a 4xx to RCPT other than 421: greylisting
// is not to be run around); and one that was rejected because the transport could
// not connect, authenticate or offer what the message needs. It never gets one
// that was accepted, that a server refused, whose message cannot be read, or whose
// outcome is indeterminate; and none once ctx has ended.
//
// A [*Relay] that could not be reached rests for a minute, in which the others are
// tried before it.
func Failover(transports ...Transport) Transport {
	f := &failover{}
	for _, t := range transports {
		_, one := t.(*Relay)
		f.ways = append(f.ways, &way{Transport: t, oneServer: one})
	}
	return f
}

type failover struct{ ways []*way }

// way is one of several transports.
type way struct {
	Transport
	// oneServer says that a failure to connect bodes ill for all mail, not only for
	// some domain's.
	oneServer bool
	rests     atomic.Int64 // until then, in Unix nanoseconds
}

// restTime is how long a relay rests that could not be reached.
const restTime = time.Minute

// Send implements [Transport].
func (f *failover) Send(ctx context.Context, m *Message) (*Result, error) {
	result := newResult(m)
	left := indexes(len(m.To))
	result.fail(left, &Error{Phase: PhaseResolve, Err: errNoRoute}, nil)
	for _, way := range f.order() {
		sendPart(ctx, way, m, left, result)
		way.note(ctx, result, left)
		left = slices.DeleteFunc(left, func(n int) bool { return !isUnsent(&result.Recipients[n]) })
		if len(left) == 0 || ctx.Err() != nil {
			break
		}
	}
	return result, result.Err()
}

// order puts the transports that rest behind the others.
func (f *failover) order() []*way {
	now := time.Now().UnixNano()
	ready, resting := make([]*way, 0, len(f.ways)), []*way(nil)
	for _, way := range f.ways {
		if way.rests.Load() > now {
			resting = append(resting, way)
		} else {
			ready = append(ready, way)
		}
	}
	return append(ready, resting...)
}

// note has a way rest that could not be reached, and wakes one that could. A
// caller who gives up says nothing about it, but one whose time ran out does.
func (w *way) note(ctx context.Context, result *Result, tried []int) {
	if !w.oneServer || ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return
	}
	reached := slices.ContainsFunc(tried, func(n int) bool { return !isUnreached(&result.Recipients[n]) })
	if reached {
		w.rests.Store(0)
	} else {
		w.rests.Store(time.Now().Add(restTime).UnixNano())
	}
}

// isUnreached reports whether an attempt ended before the server was ready for
// mail.
func isUnreached(o *Outcome) bool {
	return o.Status != Accepted && slices.Contains(beforeMail, phaseOf(o)) || o.Reply.Code == 421
}

// beforeMail are the phases that have to do with the transport alone.
var beforeMail = []Phase{PhaseConnect, PhaseGreeting, PhaseHello, PhaseStartTLS, PhaseAuth}

func phaseOf(o *Outcome) Phase {
	e, ok := errors.AsType[*Error](o.Err)
	if !ok {
		return ""
	}
	return e.Phase
}

// isUnsent reports whether a recipient surely has not got the message, and
// another transport may do better.
func isUnsent(o *Outcome) bool {
	phase := phaseOf(o)
	switch {
	case phase == PhaseMessage:
		return false
	case o.Status == NotTried:
		return true
	case o.Status == Deferred:
		return phase != PhaseRcpt || o.Reply.Code == 421
	case o.Status == Rejected:
		return slices.Contains(beforeMail, phase) || lacksExtension(o)
	}
	return false
}

// lacksExtension reports whether we kept the message back because the server
// could not take it as it is.
func lacksExtension(o *Outcome) bool {
	return o.Reply.Code == 0 && slices.ContainsFunc(
		[]error{ErrNeedUTF8, ErrNeed8Bit, ErrTooLarge, ErrNoRequireTLS},
		func(cause error) bool { return errors.Is(o.Err, cause) })
}
