package queue_test

import (
	"context"
	"fmt"
	"log"
	"net/mail"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// newExample wires a queue to a transport that keeps what it is given.
func newExample(opts *queue.Options, rules ...smtptest.Rule) (*queue.Queue, *tracking.Tracker) {
	store := memqueue.New(nil) // sqlitequeue.Open keeps it in a file
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: store})
	if err != nil {
		log.Fatal(err)
	}
	q, err := queue.New(store, smtptest.NewRecorder(rules...), tracker, opts)
	if err != nil {
		log.Fatal(err)
	}
	return q, tracker
}

// runUntilDone runs a queue until nothing is left to send now.
func runUntilDone(q *queue.Queue) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	for {
		stats, err := q.Stats(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if stats.ByState[queue.Ready] == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}

func Example() {
	q, tracker := newExample(nil, smtptest.Rule{To: "nadie@*", Reply: "550 5.1.1 El usuario no existe"})
	template, err := tracker.Compile(&tracking.Message{
		From:    mail.Address{Name: "La carta", Address: "hola@example.com"},
		Subject: "Hola {{nombre}}",
		HTML:    `<p>Hola {{nombre}}, <a href="https://example.com/taller">ven a vernos</a>.`,
	})
	if err != nil {
		log.Fatal(err)
	}
	ids, err := q.Send(context.Background(), template,
		tracking.Recipient{To: mail.Address{Address: "ana@correo.example"}, Fields: map[string]string{"nombre": "Ana"}},
		tracking.Recipient{To: mail.Address{Address: "nadie@correo.example"}, Fields: map[string]string{"nombre": "Nadie"}})
	if err != nil {
		log.Fatal(err)
	}
	runUntilDone(q) // a host does: go q.Run(ctx)
	for _, id := range ids {
		events, err := q.Timeline(context.Background(), id)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range events {
			fmt.Println(e.Recipient, e.Type, e.Reason, e.Verdict)
		}
	}
	// Output:
	// ana@correo.example queued undetermined unknown
	// ana@correo.example delivered undetermined unknown
	// nadie@correo.example queued undetermined unknown
	// nadie@correo.example bounced bad-mailbox hard
}

func ExampleQueue_SendAll() {
	q, tracker := newExample(nil)
	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Novedades", Text: "Hola", Campaign: "otoño"})
	if err != nil {
		log.Fatal(err)
	}
	recipients := func(yield func(tracking.Recipient) bool) { // rows of a database, say
		for i := range 12_000 {
			if !yield(tracking.Recipient{To: mail.Address{Address: fmt.Sprintf("a%d@correo.example", i)}}) {
				return
			}
		}
	}
	queued, err := q.SendAll(context.Background(), &queue.Mailing{
		Template:  template,
		NotBefore: time.Now().Add(24 * time.Hour),
		Progress:  func(n int) { fmt.Println(n, "queued") },
	}, recipients)
	fmt.Println(queued, err)
	// Output:
	// 5000 queued
	// 10000 queued
	// 12000 queued
	// 12000 <nil>
}

func ExampleQueue_Apply() {
	q, tracker := newExample(nil)
	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Novedades", Text: "Hola", Campaign: "otoño"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = q.SendAll(context.Background(), &queue.Mailing{Template: template}, slices.Values([]tracking.Recipient{
		{To: mail.Address{Address: "ana@correo.example"}}, {To: mail.Address{Address: "luis@correo.example"}},
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(q.Apply(context.Background(), queue.Filter{Campaign: "otoño"}, queue.Hold))
	fmt.Println(q.Apply(context.Background(), queue.Filter{Address: "luis@correo.example"}, queue.Cancel))
	fmt.Println(q.Apply(context.Background(), queue.Filter{Campaign: "otoño"}, queue.Release))
	// Output:
	// 2 <nil>
	// 1 <nil>
	// 1 <nil>
}
