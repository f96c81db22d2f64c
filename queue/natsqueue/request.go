package natsqueue

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout bounds the wait for an answer, before the servers are asked again,
	// and leaveTimeout that for one that makes no difference.
	requestTimeout = 2 * time.Second
	leaveTimeout   = 200 * time.Millisecond
	requestAgain   = 100 * time.Millisecond
)

// again calls f until its error is not that of servers that cannot answer now.
func again(ctx context.Context, f func(ctx context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil || !busy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(requestAgain):
		}
	}
}

// request is again for a single request.
func request(ctx context.Context, f func(ctx context.Context) error) error {
	return again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return f(ctx)
	})
}

// busy reports whether the servers can be asked again: they are choosing a leader,
// have lost one, or do not answer.
func busy(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code >= http.StatusInternalServerError && api.ErrorCode != noStorage && api.ErrorCode != noResources
	}
	for _, e := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat,
		jetstream.ErrConsumerDeleted, nats.ErrDisconnected,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
