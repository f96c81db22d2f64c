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

// office is three workers on a cluster.
type office struct {
	*workertest.Crew
	cluster *natstest.Processes
	workers []*workertest.Worker
}

const stream = "mail"

func newOffice(t *testing.T) *office {
	o := &office{Crew: workertest.New(t, rest), cluster: natstest.NewProcesses(t)}
	for i := range 3 {
		o.hire(i)
	}
	o.All(20)
	return o
}

// hire hires a worker that connects to this server if it can.
func (o *office) hire(server int) {
	o.workers = append(o.workers, o.Hire(stream+" "+o.cluster.URL(server)))
}

// without takes a server away for long enough that all workers go on without it, kills
// a worker, and brings the server back.
func (o *office) without(server int, begin, end func(int)) {
	o.Helper()
	mended := o.Trouble(o.workers...)
	begin(server)
	o.All(20)
	o.workers[0].Kill()
	o.workers = o.workers[1:]
	o.hire(server)
	end(server)
	mended()
}

func (o *office) finish() {
	o.Helper()
	o.EndLeases(openAt, stream+" "+o.cluster.URL(0))
	o.hire(0)
	o.Finish()
}

// TestServerDies has a follower die and come back, and then the leader.
func TestServerDies(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.without((o.cluster.Leader(stream)+1)%3, o.cluster.Kill, o.cluster.Start)
	o.without(o.cluster.Leader(stream), o.cluster.Kill, o.cluster.Start)
	o.finish()
}

// TestServersCutOff has the leader cut off from the other servers and from the workers,
// and then all servers die at once.
func TestServersCutOff(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.without(o.cluster.Leader(stream), o.cluster.CutOff, o.cluster.Heal)
	mended := o.Trouble(o.workers...)
	for i := range 3 {
		o.cluster.Kill(i)
	}
	for i := range 3 {
		o.cluster.Start(i)
	}
	mended()
	o.finish()
}

// TestCutOffWorkers cuts workers off from all servers.
func TestCutOffWorkers(t *testing.T) {
	t.Parallel()
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
