package pgqueue_test

import (
	"testing"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/queuetest"
)

func BenchmarkStore(b *testing.B) {
	address := peer(b)
	queuetest.BenchmarkStore(b, func(b *testing.B) queue.Store {
		pool := newPool(b, address)
		return open(b, pool, newSchema(b, pool))
	})
}
