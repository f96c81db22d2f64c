package pgqueue_test

import (
	"testing"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/queuetest"
)

var campaign = queue.Flow{Lane: "example.com", Campaign: "otoño"}

func BenchmarkStore(b *testing.B) {
	address := peer(b)
	queuetest.BenchmarkStore(b, func(b *testing.B) queue.Store {
		pool := newPool(b, address)
		return open(b, pool, newSchema(b, pool))
	})
}

// BenchmarkWorkers is of processes that share a database.
func BenchmarkWorkers(b *testing.B) {
	address := peer(b)
	workertest.Benchmark(b, openAt, func(b *testing.B) string { return newSchema(b, newPool(b, address)) + " " + address })
}
