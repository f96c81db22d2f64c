package workertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// variable has the test binary be a worker.
const variable = "FRANQUEO_WORKER"

// order is what the variable tells a worker, as JSON.
type order struct {
	Name  string // that it gives to the SMTP server
	Where string // its store is
	Relay string // URL of the SMTP server
	Rest  time.Duration
}

// Open opens a store. Closing the store releases all that Open took.
type Open func(ctx context.Context, where string) (queue.Store, error)

// Main is for TestMain, before all else: if this process is a worker of a [Crew] or of
// [Benchmark], it works and exits.
func Main(open Open) {
	if where := os.Getenv(drains); where != "" {
		if err := drain(open, where); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.work(open)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker queues mail and sends what is queued, as a host's process does. It says on
// standard output, each with the time:
//
//	acknowledged ADDRESS   Send or SendAll has returned without an error
//	trying ADDRESS         the transport gets the mail
//	settled ADDRESS        the store knows that it is delivered
//	finished               it queues no more, as it was told by the line "finish"
//	idle                   nothing is left in the store, after the line "idle?"
//
// It stops in order when standard input ends.
type worker struct {
	order
	store    queue.Store
	queue    *queue.Queue
	template *tracking.Template
	finish   chan struct{} // closed when it is to queue no more
	ask      chan struct{} // closed when it is asked whether it is idle
}

func (o order) work(open Open) error {
	w := &worker{order: o, finish: make(chan struct{}), ask: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		w.obey()
		stop()
	}()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err := w.persist(ctx, log, func() (err error) {
		w.store, err = open(ctx, o.Where)
		return err
	})
	if err != nil {
		return err
	}
	relay, err := smtp.NewRelay(o.Relay, &smtp.RelayOptions{LocalName: o.Name})
	if err != nil {
		return err
	}
	if err := w.prepare(&teller{relay}, log); err != nil {
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { w.produce(ctx, log) })
	err = w.queue.Run(ctx)
	group.Wait()
	return errors.Join(err, relay.Close(), w.store.Close())
}

// obey reads orders until there are no more.
func (w *worker) obey() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "finish":
			close(w.finish)
		case "idle?":
			close(w.ask)
		}
	}
}

func (w *worker) prepare(transport smtp.Transport, log *slog.Logger) error {
	key := tracking.Key{ID: 1, Secret: bytes.Repeat([]byte{7}, 32)}
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{key}, nil)
	if err != nil {
		return err
	}
	w.template, err = tracker.Compile(&tracking.Message{
		From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Para {{n}}:\n" + strings.Repeat("Una línea.\n", 100),
	})
	if err != nil {
		return err
	}
	w.queue, err = queue.New(w.store, transport, tracker, &queue.Options{
		Concurrency: Concurrency, Retry: []time.Duration{50 * time.Millisecond}, Sink: tracking.SinkFunc(tellSettled), Log: log,
	})
	return err
}

// teller tells of each attempt before it is made.
type teller struct{ smtp.Transport }

func (t *teller) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	tell("trying", m.To[0].Addr)
	return t.Transport.Send(ctx, m)
}

func tellSettled(_ context.Context, events []tracking.Event) error {
	for _, e := range events {
		if e.Type == tracking.Delivered {
			tell("settled", e.Recipient)
		}
	}
	return nil
}

// tell says a line in one write, so that it is heard whole or not at all.
func tell(word, address string) {
	_, _ = fmt.Fprintf(os.Stdout, "%s %s %d\n", word, address, time.Now().UnixNano())
}

// produce queues mail one by one and in batches until it is told to finish, and then
// waits for the store to be empty.
func (w *worker) produce(ctx context.Context, log *slog.Logger) {
	var group sync.WaitGroup
	for producer, size := range []int{1, 1, 20} {
		group.Go(func() {
			for n := 0; ctx.Err() == nil && !closed(w.finish); n++ {
				w.send(ctx, log, w.recipients(producer, n, size))
				time.Sleep(w.Rest * time.Duration(size))
			}
		})
	}
	group.Wait()
	tell("finished", "-")
	select {
	case <-ctx.Done():
		return
	case <-w.ask:
	}
	for ctx.Err() == nil {
		stats, err := w.queue.Stats(ctx)
		if err == nil && stats.ByState[queue.Ready] == 0 {
			tell("idle", "-")
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// recipients are new ones. What is sent again after an error is the same mail by its
// key or by its ID.
func (w *worker) recipients(producer, n, size int) []tracking.Recipient {
	out := make([]tracking.Recipient, size)
	for i := range out {
		address := fmt.Sprintf("p%d.n%d.i%d@d%d.%s", producer, n, i, (n+i)%5, w.Name)
		out[i] = tracking.Recipient{To: mail.Address{Address: address}, Fields: map[string]string{"n": address}}
		if producer%2 == 0 {
			out[i].Key = address
		} else {
			out[i].ID = tracking.NewID()
		}
	}
	return out
}

// send queues mail, again and again until it is acknowledged.
func (w *worker) send(ctx context.Context, log *slog.Logger, recipients []tracking.Recipient) {
	err := w.persist(ctx, log, func() (err error) {
		if len(recipients) == 1 {
			_, err = w.queue.Send(ctx, w.template, recipients...)
		} else {
			_, err = w.queue.SendAll(ctx, &queue.Mailing{Template: w.template, Campaign: "otoño"}, slices.Values(recipients))
		}
		return err
	})
	if err != nil {
		return
	}
	for _, r := range recipients {
		tell("acknowledged", r.To.Address)
	}
}

// persist calls f until it succeeds or ctx ends.
func (w *worker) persist(ctx context.Context, log *slog.Logger, f func() error) error {
	for {
		err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		log.Warn("worker: again", "err", err)
		time.Sleep(50 * time.Millisecond)
	}
}
