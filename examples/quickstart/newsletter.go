package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

const campaign = "boletin-42"

// house is everything that a host wires together.
type house struct {
	store   *sqlitequeue.Store
	relay   *smtp.Relay
	tracker *tracking.Tracker
	queue   *queue.Queue
	web     *http.Server
	address string // of web
}

// sendNewsletter is the main job, from the file to the table.
func sendNewsletter(ctx context.Context, s *settings, out io.Writer) (err error) {
	resumed, err := prepare(ctx, s.database)
	if err != nil {
		return err
	}
	provider, err := openProvider(s.database)
	if err != nil {
		return err
	}
	defer provider.close()
	h, err := openHouse(s.database, provider.URL(), &queue.Options{Retry: []time.Duration{time.Second}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()

	if resumed {
		fmt.Fprintf(out, "Going on with %s, which an earlier run left unfinished.\n", s.database)
	}
	fmt.Fprintf(out, "A mail provider listens at %s, the tracker at http://%s.\n", provider.Addr(), h.address)
	if err := h.enqueue(ctx, s, out); err != nil {
		return err
	}
	if err := h.deliver(ctx, len(s.recipients), out); err != nil {
		return err
	}
	if err := h.read(ctx, provider, out); err != nil {
		return err
	}
	return h.show(ctx, s, out)
}

// prepare removes a file whose campaign is done, so that each run has something to
// show, and reports whether there is one to go on with.
func prepare(ctx context.Context, database string) (resumed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(database), 0o755); err != nil {
		return false, err
	}
	if _, err := os.Stat(database); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if _, err := os.Stat(recordPath(database)); err != nil {
		return false, fmt.Errorf("%s was not made by this program, which would remove it: give another file with -db", database)
	}
	store, err := sqlitequeue.Open(database, nil)
	if err != nil {
		return false, err
	}
	stats, err := store.Stats(ctx)
	if err := errors.Join(err, store.Close()); err != nil {
		return false, err
	}
	if stats.ByState[queue.Ready] > 0 {
		return true, nil
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-lock", ".keys", ".url", ".received.txt", ".mailbox"} {
		err = errors.Join(err, os.RemoveAll(database+suffix))
	}
	return false, err
}

// openHouse is what a host's main does, but for the options: what is waited for is
// short, as this is a demonstration.
func openHouse(database, relayURL string, opts *queue.Options) (h *house, err error) {
	h = &house{}
	if h.store, err = sqlitequeue.Open(database, nil); err != nil {
		return nil, err
	}
	if h.relay, err = smtp.NewRelay(relayURL, nil); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.address = listener.Addr().String()
	keys, err := openKeys(database + ".keys")
	if err != nil {
		return nil, err
	}
	// The URL in mail is the same for ever, as a host's is, though the port is not.
	base, err := kept(database+".url", func() string { return "http://" + h.address })
	if err != nil {
		return nil, err
	}
	h.tracker, err = tracking.New(base, keys, &tracking.Options{Sink: h.store, Settle: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	h.queue, err = queue.New(h.store, h.relay, h.tracker, opts)
	if err != nil {
		return nil, err
	}
	h.web = &http.Server{Handler: h.tracker, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = h.web.Serve(listener) }() // until close
	return h, nil
}

func (h *house) close() error {
	return errors.Join(h.web.Close(), h.relay.Close(), h.store.Close())
}

// openKeys reads the keys of tokens, or makes one. A host keeps them with its other
// secrets.
func openKeys(path string) ([]tracking.Key, error) {
	text, err := kept(path, func() string { return tracking.FormatKeys([]tracking.Key{tracking.NewKey(1)}) })
	if err != nil {
		return nil, err
	}
	return tracking.ParseKeys(text)
}

// kept reads what an earlier run wrote to a file, or writes what first returns.
func kept(path string, first func() string) (string, error) {
	text, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		return string(text), err
	}
	made := first()
	return made, os.WriteFile(path, []byte(made), 0o600)
}

// compile makes the newsletter a template: links and pixel placed, every part
// encoded, holes left for what differs by recipient.
func compile(tracker *tracking.Tracker, html string) (*tracking.Template, error) {
	return tracker.Compile(&tracking.Message{
		From:     mail.Address{Name: "La carta del barrio", Address: "hola@cartadelbarrio.example"},
		Subject:  "{{nombre}}, volvemos a la imprenta",
		HTML:     html,
		Campaign: campaign,
		Parts: []tracking.Part{
			tracking.FilePart(boletin, "boletin/logo.png").Inline("logo"),
			tracking.FilePart(boletin, "boletin/programa.txt"),
		},
	})
}

func (h *house) enqueue(ctx context.Context, s *settings, out io.Writer) error {
	template, err := compile(h.tracker, s.html)
	if err != nil {
		return err
	}
	started := time.Now()
	queued, err := h.queue.SendAll(ctx, &queue.Mailing{Template: template}, slices.Values(s.recipients))
	if err != nil {
		return fmt.Errorf("%w (%d recipients were queued)", err, queued)
	}
	fmt.Fprintf(out, "Queued %d mails durably in %v.\n", queued, time.Since(started).Round(time.Millisecond))
	return nil
}

// deliver runs the queue until nothing is left to send.
func (h *house) deliver(ctx context.Context, total int, out io.Writer) error {
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.queue.Run(running) }()
	err := h.watch(ctx, total, newBar(out, total))
	stop()
	return errors.Join(err, <-done)
}

// watch shows progress until every mail has its outcome.
func (h *house) watch(ctx context.Context, total int, bar *bar) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		stats, err := h.store.Stats(ctx)
		if err != nil {
			return err
		}
		left := stats.ByState[queue.Ready] + stats.ByState[queue.Held]
		bar.show(total - left)
		if left == 0 {
			bar.end()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped with %d of %d mails to send: %w", left, total, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// read lets a few recipients open, click and unsubscribe.
func (h *house) read(ctx context.Context, p *provider, out io.Writer) error {
	r := newReader(h.address)
	for i, address := range p.readers {
		l, err := r.open(filepath.Join(p.mailbox, address))
		if err != nil {
			return err
		}
		if err := r.load(ctx, l); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // a quick reader
		if i%2 == 0 {
			destination, err := r.click(ctx, l)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s opened the mail and clicked through to %s\n", address, destination)
		}
		if i == 0 {
			if err := r.leave(ctx, l); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s unsubscribed with one click\n", address)
		}
	}
	return h.tracker.Close(ctx) // what has settled by now is stored
}

// sendOne sends one mail through the relay of SMTP_URL and waits for its outcome.
func sendOne(ctx context.Context, s *settings, out io.Writer) error {
	dir, err := os.MkdirTemp("", "franqueo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := openHouse(filepath.Join(dir, "mail.db"), s.relay, &queue.Options{
		Retry: []time.Duration{10 * time.Second}, Lifetime: 10 * time.Minute, Log: slog.New(slog.NewTextHandler(out, nil)),
	})
	if err != nil {
		return fmt.Errorf("SMTP_URL: %w", err)
	}
	defer h.close()
	if _, err := h.relay.Check(ctx); err != nil {
		return fmt.Errorf("SMTP_URL: %w", err)
	}
	template, err := compile(h.tracker, s.html)
	if err != nil {
		return err
	}
	ids, err := h.queue.Send(ctx, template, newRecipient(s.to, map[string]string{"nombre": "Hola", "calle": "Mayor"}))
	if err != nil {
		return err
	}
	if err := h.deliver(ctx, 1, io.Discard); err != nil {
		return err
	}
	if err := h.timeline(ctx, ids[0], out); err != nil {
		return err
	}
	job, err := h.queue.Job(ctx, ids[0])
	if err == nil && job.State != queue.Delivered {
		err = fmt.Errorf("%s: %s", s.to, job.Last)
	}
	return err
}
