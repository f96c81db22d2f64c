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
// The next transport gets a recipient that was not tried; one that was deferred,
// unless the server deferred this very recipient (a 4xx to RCPT other than 421:
// greylisting is not to be run around); and one that was rejected before the
// message came into it, when connecting, at the greeting, EHLO, STARTTLS or AUTH.
// It never gets one that was accepted, refused as a recipient or message, or
// whose outcome is indeterminate, and none once ctx has ended.
//
// A transport that could not carry on any of a message's recipients rests for a
// minute, in which the others are tried before it.
func Failover(transports ...Transport) Transport {
	f := &failover{}
	for _, t := range transports {
		f.ways = append(f.ways, &way{Transport: t})
	}
	return f
}

type failover struct{ ways []*way }

// way is one of several transports.
type way struct {
	Transport
	rests atomic.Int64 // until then, in Unix nanoseconds
}

// restTime is how long a transport rests that let a message down.
const restTime = time.Minute

// note has a way rest that failed.
func (w *way) note(worked bool) {
	if worked {
		w.rests.Store(0)
	} else {
		w.rests.Store(time.Now().Add(restTime).UnixNano())
	}
}

// Send implements [Transport].
func (f *failover) Send(ctx context.Context, m *Message) (*Result, error) {
	result := newResult(m)
	left := indexes(len(m.To))
	result.fail(left, &Error{Phase: PhaseResolve, Err: errNoRoute}, nil)
	for _, way := range f.order() {
		sendPart(ctx, way, m, left, result)
		tried := len(left)
		left = slices.DeleteFunc(left, func(n int) bool { return !isUnsent(&result.Recipients[n]) })
		if ctx.Err() != nil {
			break
		}
		way.note(len(left) < tried)
		if len(left) == 0 {
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

// isUnsent reports whether a recipient surely has not got the message, and
// another transport may do better.
func isUnsent(o *Outcome) bool {
	var phase Phase
	if e, ok := errors.AsType[*Error](o.Err); ok {
		phase = e.Phase
	}
	switch o.Status {
	case NotTried:
		return true
	case Deferred:
		return phase != PhaseRcpt || o.Reply.Code == 421
	case Rejected:
		return slices.Contains(beforeMail, phase)
	}
	return false
}

// beforeMail are the phases that have to do with the transport alone.
var beforeMail = []Phase{PhaseConnect, PhaseGreeting, PhaseHello, PhaseStartTLS, PhaseAuth}
