package natsqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
)

// Options tunes a [Store]. The zero value is ready for use.
type Options struct {
	// Stream is the name of the stream, which is made if it is missing, and the first
	// token of its subjects. No one else may publish to those. Empty means "franqueo".
	Stream string
	// Replicas is on how many servers a new stream is kept: 1, 3 or 5. What is
	// acknowledged is on a majority of them. Zero means 3. That of a stream that there
	// is can be changed with the tools of NATS.
	Replicas int
	// Limit is the number of unfinished jobs above which Put answers
	// [queue.ErrFull]. Every process keeps some 145 bytes of each in memory. Zero means
	// 10 million.
	Limit int
	// KeepFinished is how long jobs that are delivered, bounced or cancelled are
	// kept, from when they were last due. Their idempotency keys are known as long.
	// Templates go with the last of their jobs. They are forgotten when a snapshot is
	// written, at least once an hour. Zero means a day; negative means for ever. Every
	// process keeps some 145 bytes of each in memory.
	KeepFinished time.Duration
	// KeepEvents is how long events are kept. Zero means 30 days; negative means for
	// ever. That of a stream that there is can be changed with the tools of NATS. The
	// servers keep some 200 bytes of each event in memory.
	KeepEvents time.Duration
	// SnapshotBytes is how much is published before the state is written down again,
	// and what led to it deleted. It is at least as much as the last snapshot took.
	// Zero means 64 MiB.
	SnapshotBytes int64
	// CacheBytes is how much of what was put is kept in memory, so that it need not be
	// read from the servers when it is sent. Zero means 64 MiB.
	CacheBytes int64
	// Log receives what goes wrong beside the calls. Nil discards.
	Log *slog.Logger
}

// Store implements [queue.Store], [queue.Journal], [queue.SuppressionList],
// [queue.Meter], [queue.Roster] and [queue.Waker] on a stream of NATS JetStream. It is safe for concurrent use, by any
// number of processes.
type Store struct {
	js       jetstream.JetStream
	opts     Options
	session  session
	payload  int // the most that a message can have
	gather   int // about how much is gathered into a message
	lines    [lines]*publisher
	batches  atomic.Uint64 // counts those that were put
	bodies   *cache
	recorder *recorder
	wakes    wakes

	life    context.Context    // of the store, which is the one to end it
	stop    context.CancelFunc // ends it
	kept    sync.WaitGroup     // what runs beside the calls
	ended   chan struct{}      // closed when the stream cannot be followed any more
	closing chan struct{}      // closed by Close

	mu     sync.Mutex // guards all below
	stream jetstream.Stream
	state  *state
	target *target
	broken error
	closed bool
	calls  sync.WaitGroup // under way
}

// target is a message that is waited for.
type target struct {
	sequence uint64
	reached  chan struct{}
}

// Open opens the queue in a stream, makes the stream if it is missing, and returns
// when it has read it. Nil options are the zero Options. It fails with
// [queue.ErrCorrupt] if the stream cannot be read, or a later release has written
// to it. The caller closes the store, and then the connection, which stays the host's
// to use; nats.MaxReconnects(-1) has it reconnect for ever.
func Open(ctx context.Context, js jetstream.JetStream, opts *Options) (*Store, error) {
	s := &Store{js: js, state: newState(), ended: make(chan struct{}), closing: make(chan struct{})}
	if opts != nil {
		s.opts = *opts
	}
	if err := s.opts.fill(); err != nil {
		return nil, err
	}
	if s.payload = int(js.Conn().MaxPayload()) - overhead; s.payload < 4*overhead {
		return nil, fmt.Errorf("natsqueue: the server's max_payload of %d bytes is too little", js.Conn().MaxPayload())
	}
	s.gather = min(messageSize, s.payload-headSize)
	_, _ = rand.Read(s.session[:]) // never fails
	s.bodies, s.recorder = newCache(s.opts.CacheBytes), newRecorder(s)
	if err := s.openStream(ctx); err != nil {
		return nil, fmt.Errorf("natsqueue: open stream %q: %w", s.opts.Stream, explain(err))
	}
	s.life, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	for i := range s.lines {
		s.lines[i] = newPublisher(s, line(i))
		s.kept.Go(func() { s.lines[i].run(s.life) })
	}
	s.kept.Go(func() { s.follow(s.life) })
	if err := s.catchUp(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("natsqueue: open stream %q: %w", s.opts.Stream, explain(err))
	}
	s.kept.Go(func() { s.recorder.run(s.life) })
	s.kept.Go(func() { s.runUpkeep(s.life) })
	return s, nil
}

var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (o *Options) fill() error {
	var faults []error
	if o.Stream == "" {
		o.Stream = "franqueo"
	}
	if !streamName.MatchString(o.Stream) {
		faults = append(faults, fmt.Errorf("natsqueue: stream %q: use at most 64 letters, digits, underscores and hyphens", o.Stream))
	}
	if o.Replicas == 0 {
		o.Replicas = 3
	}
	if o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5 {
		faults = append(faults, fmt.Errorf("natsqueue: %d replicas: use 1, 3 or 5", o.Replicas))
	}
	if o.Limit == 0 {
		o.Limit = 10_000_000
	}
	if o.KeepFinished == 0 {
		o.KeepFinished = 24 * time.Hour
	}
	if o.KeepEvents == 0 {
		o.KeepEvents = 30 * 24 * time.Hour
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 64 << 20
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"limit", int64(o.Limit)}, {"snapshot bytes", o.SnapshotBytes}, {"cache bytes", o.CacheBytes}} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("natsqueue: %s: %d is negative", n.name, n.value))
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(faults...)
}

// subject is a subject of the store.
func (s *Store) subject(name string) string { return s.opts.Stream + "." + name }

// openStream finds the stream, or makes it.
func (s *Store) openStream(ctx context.Context) error {
	config := jetstream.StreamConfig{
		Name:        s.opts.Stream,
		Description: "franqueo: a queue of mail",
		Replicas:    s.opts.Replicas,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
	}
	for _, name := range subjects {
		config.Subjects = append(config.Subjects, s.subject(name))
	}
	stream, err := s.provide(ctx, config)
	if err != nil {
		return err
	}
	if c := stream.CachedInfo().Config; c.MaxAge != 0 || c.Discard != jetstream.DiscardNew || c.Retention != jetstream.LimitsPolicy {
		return fmt.Errorf("the stream would lose messages: it needs retention limits, no max_age (is %v), and discard new (is %v)", c.MaxAge, c.Discard)
	}
	s.stream = stream
	return nil
}

// provide finds a stream, or makes it.
func (s *Store) provide(ctx context.Context, config jetstream.StreamConfig) (stream jetstream.Stream, err error) {
	err = request(ctx, func(ctx context.Context) error {
		stream, err = s.js.Stream(ctx, config.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			stream, err = s.js.CreateStream(ctx, config)
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
			stream, err = s.js.Stream(ctx, config.Name)
		}
		return err
	})
	return stream, err
}

// catchUp waits until all is applied that the stream has now.
func (s *Store) catchUp(ctx context.Context) error {
	var info *jetstream.StreamInfo
	err := request(ctx, func(ctx context.Context) (err error) {
		info, err = s.stream.Info(ctx)
		return err
	})
	if err != nil {
		return err
	}
	t := &target{info.State.LastSeq, make(chan struct{})}
	s.mu.Lock()
	s.target = t
	s.reach()
	s.mu.Unlock()
	select {
	case <-t.reached:
		return nil
	case <-s.ended:
		return s.fault()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reach tells who waits for what is applied now. The mutex is held.
func (s *Store) reach() {
	if s.target != nil && s.state.applied >= s.target.sequence {
		close(s.target.reached)
		s.target = nil
	}
}

// enter counts a call that is under way, unless the store is closed or cannot follow
// the stream. After nil the caller calls s.calls.Done.
func (s *Store) enter(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	if s.broken != nil {
		return s.broken
	}
	s.calls.Add(1)
	return nil
}

// read has f look at the state.
func (s *Store) read(ctx context.Context, f func(*state)) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.look(f)
	return nil
}

// look is read within a call.
func (s *Store) look(f func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.state)
}

// fail has every call return this error from now on.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = fmt.Errorf("natsqueue: stream %q: %w", s.opts.Stream, err)
	s.opts.Log.Error("natsqueue: the stream cannot be read", "stream", s.opts.Stream, "err", err)
	close(s.ended)
}

func (s *Store) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// named says which call failed. Errors of package queue say so themselves.
func (s *Store) named(call string, err error) error {
	var key *queue.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &key), errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrClosed):
		return err
	}
	return fmt.Errorf("natsqueue: %s: %w", call, err)
}

// drain waits a little for events to be published. What is left, another process
// publishes, or this one when it opens the store again.
func (s *Store) drain() {
	ctx, cancel := context.WithTimeout(s.life, drainTime)
	defer cancel()
	s.recorder.wait(ctx, 0)
}

// Close waits for calls under way. The connection stays open.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	s.calls.Wait()
	s.drain()
	s.stop()
	for _, p := range s.lines {
		p.close(queue.ErrClosed)
	}
	s.kept.Wait()
	return nil
}
