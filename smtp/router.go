package smtp

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Route is a transport that hands each recipient to the transport that choose
// names: by stream, by tenant, by the recipient's domain. A message whose
// recipients go different ways is sent once on each, at the same time.
//
// choose is called once for each recipient, perhaps concurrently for different
// messages, and returns transports of a comparable type, such as *[Relay]. Where
// it returns nil the recipient is deferred.
func Route(choose func(m *Message, to Recipient) Transport) Transport { return router(choose) }

type router func(m *Message, to Recipient) Transport

// errNoRoute is a fault of the configuration: another try may help once it is
// mended.
var errNoRoute = errors.New("no transport for this recipient")

// Send implements [Transport].
func (choose router) Send(ctx context.Context, m *Message) (*Result, error) {
	result := newResult(m)
	var ways []Transport
	var parts [][]int // the recipients of each way
	for i, to := range m.To {
		way := choose(m, to)
		if way == nil {
			result.Recipients[i].fail(&Error{Phase: PhaseResolve, Err: errNoRoute}, nil)
			continue
		}
		n := slices.Index(ways, way)
		if n < 0 {
			n = len(ways)
			ways, parts = append(ways, way), append(parts, nil)
		}
		parts[n] = append(parts[n], i)
	}
	var wg sync.WaitGroup
	for n, way := range ways {
		if n == len(ways)-1 {
			sendPart(ctx, way, m, parts[n], result) // most messages have one way
			break
		}
		wg.Go(func() { sendPart(ctx, way, m, parts[n], result) })
	}
	wg.Wait()
	return result, result.Err()
}
