package natsqueue_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/leak"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/natsqueue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/tracking"
)

func TestMain(m *testing.M) {
	natstest.Main()
	workertest.Main(openAt)
	leak.Main(m)
}

var (
	_ queue.Store           = (*natsqueue.Store)(nil)
	_ queue.Journal         = (*natsqueue.Store)(nil)
	_ queue.SuppressionList = (*natsqueue.Store)(nil)
	_ queue.Meter           = (*natsqueue.Store)(nil)
	_ queue.Roster          = (*natsqueue.Store)(nil)
	_ queue.Waker           = (*natsqueue.Store)(nil)
)

// newStream returns the name of a stream that is deleted when the test ends.
func newStream(t testing.TB, js jetstream.JetStream) string {
	name := "q-" + tracking.NewID().String()
	t.Cleanup(func() { natstest.Remove(t, js, name) })
	return name
}

func open(t testing.TB, js jetstream.JetStream, stream string) *natsqueue.Store {
	t.Helper()
	s, err := natsqueue.Open(context.Background(), js, &natsqueue.Options{Stream: stream})
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	queuetest.TestStore(t, func(t *testing.T) queue.Store { return open(t, js, newStream(t, js)) })
}

func TestRestart(t *testing.T) {
	js := natstest.New(t, 3).Connect()
	queuetest.TestRestart(t, func(t *testing.T) func() queue.Store {
		stream := newStream(t, js)
		return func() queue.Store { return open(t, js, stream) }
	})
}
