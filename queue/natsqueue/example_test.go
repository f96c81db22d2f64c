package natsqueue_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/natsqueue"
	"github.com/franqueo/franqueo/tracking"
)

// What one process puts, another sends.
func ExampleOpen() {
	nc, stop := serve()
	defer stop()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	opts := &natsqueue.Options{Stream: "correo", Replicas: 1} // one server, for the example
	shop, err := natsqueue.Open(ctx, js, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer shop.Close()
	letter := []byte("Subject: Tu pedido\r\n\r\nGracias.\r\n")
	flow := queue.Flow{Lane: "example.net"}
	_, err = shop.Put(ctx, &queue.Batch{Hash: sha256.Sum256(letter), Template: letter, Jobs: []queue.Job{
		{ID: tracking.NewID(), Flow: flow, Address: "ana@example.net"},
	}})
	if err != nil {
		log.Fatal(err)
	}

	worker, err := natsqueue.Open(ctx, js, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	now := time.Now()
	leases, err := worker.Claim(ctx, now, now.Add(time.Minute), []queue.FlowClaim{{Flow: flow, N: 10}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(leases[0].Address, leases[0].Attempt)
	// Output: ana@example.net 1
}

// serve starts a server in this process, and connects to it.
func serve() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	nc, err = nats.Connect(s.ClientURL(), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}
