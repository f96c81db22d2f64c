package memqueue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/queue/queuetest"
	"github.com/franqueo/franqueo/tracking"
)

func TestStore(t *testing.T) {
	queuetest.TestStore(t, func(*testing.T) queue.Store { return memqueue.New(nil) })
}

func TestLimit(t *testing.T) {
	t.Parallel()
	s := memqueue.New(&memqueue.Options{Limit: 2})
	put := func(n int) error {
		b := &queue.Batch{Hash: queue.Hash{1}, Template: []byte("hola")}
		for range n {
			b.Jobs = append(b.Jobs, queue.Job{ID: tracking.NewID()})
		}
		_, err := s.Put(t.Context(), b)
		return err
	}
	require.ErrorIs(t, put(3), queue.ErrFull)
	require.NoError(t, put(2))
	require.ErrorIs(t, put(1), queue.ErrFull)
	_, err := s.Apply(t.Context(), queue.Filter{}, queue.Cancel, queue.Job{}.Due)
	require.NoError(t, err)
	require.NoError(t, put(2))
}
