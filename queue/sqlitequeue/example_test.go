package sqlitequeue_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

// The store outlives the process: what Put has returned for is found again.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "cola")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mail.db")
	ctx, now := context.Background(), time.Now()

	store, err := sqlitequeue.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	template := []byte("Subject: Hola\r\n\r\nHola\r\n")
	_, err = store.Put(ctx, &queue.Batch{Hash: sha256.Sum256(template), Template: template, Jobs: []queue.Job{
		{ID: tracking.NewID(), Flow: queue.Flow{Lane: "example.com"}, Address: "ana@example.com", Due: now},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}

	store, err = sqlitequeue.Open(path, &sqlitequeue.Options{CheckAll: true})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	leases, err := store.Claim(ctx, now, now.Add(time.Minute), []queue.FlowClaim{{Flow: queue.Flow{Lane: "example.com"}, N: 10}})
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range leases {
		fmt.Println(l.Address, "attempt", l.Attempt)
	}
	// Output: ana@example.com attempt 1
}
