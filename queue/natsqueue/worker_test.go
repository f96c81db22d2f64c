package natsqueue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/natsqueue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
)

// rest leaves a machine with two cores, which has more to do, the time to send as much
// as three workers queue.
const rest = 60 * time.Millisecond

// connected is a store that closes its connection.
type connected struct {
	*natsqueue.Store
	conn *nats.Conn
}

func (c *connected) Close() error {
	defer c.conn.Close()
	return c.Store.Close()
}

// openAt opens the store of a worker: where is a stream and the URLs of a cluster.
func openAt(ctx context.Context, where string) (queue.Store, error) {
	stream, urls, _ := strings.Cut(where, " ")
	conn, err := nats.Connect(urls, nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	store, err := natsqueue.Open(ctx, js, &natsqueue.Options{Stream: stream})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &connected{store, conn}, nil
}

// TestFaults has three workers queue and send while a follower dies and comes back, the
// leader dies and comes back, and the leader is cut off, each long enough for all
// workers to go on without it; then all servers die at once. Workers are killed
// meanwhile.
func TestFaults(t *testing.T) {
	t.Parallel()
	const stream = "mail"
	cluster := natstest.NewProcesses(t)
	crew := workertest.New(t, rest)
	where := func(first int) string { return stream + " " + cluster.URL(first) }
	workers := []*workertest.Worker{crew.Hire(where(0)), crew.Hire(where(1)), crew.Hire(where(2))}
	without := func(server int, begin, end func(int)) {
		crew.All(20)
		mended := crew.Trouble(workers...)
		begin(server)
		crew.All(20)
		workers[0].Kill()
		workers = append(workers[1:], crew.Hire(where(server)))
		end(server)
		mended()
	}
	without((cluster.Leader(stream)+1)%3, cluster.Kill, cluster.Start)
	without(cluster.Leader(stream), cluster.Kill, cluster.Start)
	without(cluster.Leader(stream), cluster.CutOff, cluster.Heal)

	crew.All(20)
	mended := crew.Trouble(workers...)
	for i := range 3 {
		cluster.Kill(i)
	}
	for i := range 3 {
		cluster.Start(i)
	}
	mended()
	crew.EndLeases(openAt, where(0))
	crew.Hire(where(0))
	crew.Finish()
}

// TestCutOffWorkers cuts workers off from all servers.
func TestCutOffWorkers(t *testing.T) {
	t.Parallel()
	const stream = "mail"
	cluster := natstest.NewProcesses(t)
	crew := workertest.New(t, rest)
	var workers []*workertest.Worker
	var ways [][]*workertest.Proxy
	for range 3 {
		way, through := cluster.Way()
		workers, ways = append(workers, crew.Hire(stream+" "+through)), append(ways, way)
	}
	crew.CutOff(workers, ways)
	where := stream + " " + cluster.URL(0)
	crew.EndLeases(openAt, where)
	crew.Hire(where)
	crew.Finish()
}
