package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
)

const (
	// signOfLife is how often the server says that there is nothing. Without a sign of
	// it for twice as long another one is asked.
	signOfLife = time.Second
	// pullMessages is how many messages, of up to messageSize each, may wait to be
	// applied.
	pullMessages = 100
	// knockTimeout is how long a server may take to say that it is there.
	knockTimeout = 5 * time.Second
	// followAgain is how long is waited when the stream cannot be read.
	followAgain = 200 * time.Millisecond
)

// errGap says that messages are missing which were not applied here: they are in a
// snapshot.
var errGap = errors.New("messages are missing")

// follow applies the messages of the stream, in order, until ctx ends.
func (s *Store) follow(ctx context.Context) {
	err := errGap // begins with a snapshot, if there is one
	for ctx.Err() == nil {
		if errors.Is(err, errGap) {
			if err = s.load(ctx); err != nil && !errors.Is(err, queue.ErrCorrupt) {
				err = fmt.Errorf("%w: %w", errGap, err)
			}
		}
		if err == nil {
			err = s.consume(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, queue.ErrCorrupt):
			s.fail(err)
			return
		case errors.Is(err, errGap):
			s.opts.Log.Info("natsqueue: behind, goes on from a snapshot", "stream", s.opts.Stream)
		default:
			s.opts.Log.Warn("natsqueue: stream cannot be read now", "stream", s.opts.Stream, "err", err)
			s.knock()
			err = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

// knock leaves a server that is silent for another. The connection itself would believe
// in it for minutes, unless the host has given it a short PingInterval.
func (s *Store) knock() {
	conn := s.js.Conn()
	if conn.IsConnected() && errors.Is(conn.FlushTimeout(knockTimeout), nats.ErrTimeout) {
		s.opts.Log.Warn("natsqueue: the server is silent, another is asked", "stream", s.opts.Stream, "server", conn.ConnectedUrlRedacted())
		_ = conn.ForceReconnect()
	}
}

// consume applies messages from the first that is not applied.
func (s *Store) consume(ctx context.Context) error {
	consumer, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.leave(s.stream, consumer)
	messages, err := consumer.Messages(jetstream.PullHeartbeat(signOfLife), jetstream.PullExpiry(30*time.Second), jetstream.PullMaxMessages(pullMessages))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := s.receive(m, delivered); err != nil {
			return err
		}
	}
}

// begin returns a consumer of what is not applied.
func (s *Store) begin(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	var applied uint64
	s.look(func(st *state) { applied = st.applied })
	if info.State.LastSeq < applied { // acknowledged messages were lost, or the stream was made anew
		s.opts.Log.Error("natsqueue: the stream has lost messages", "stream", s.opts.Stream, "last", info.State.LastSeq, "applied", applied)
		return nil, errGap
	}
	return s.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: applied + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
}

// leave tells the server, if it can be told, that a consumer is not needed any more.
func (s *Store) leave(stream jetstream.Stream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if s.js.Conn().IsConnected() {
		_ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
	}
}

// errSkipped says that a message was lost on its way here.
var errSkipped = errors.New("a message was not delivered")

// receive applies the message that comes in this place, and hands out the results if
// it is our own.
func (s *Store) receive(raw jetstream.Msg, place uint64) error {
	meta, err := raw.Metadata()
	if err != nil {
		return err
	}
	if meta.Sequence.Consumer != place {
		return errSkipped
	}
	sequence := meta.Sequence.Stream
	m, err := decodeMessage(raw.Data())
	if err != nil {
		return fmt.Errorf("message %d: %w", sequence, err)
	}
	if m.line == puts {
		s.bodies.add(sequence, raw.Data())
	}
	own := m.session == s.session
	results, err := s.advance(m, len(raw.Data()), moment{sequence: sequence, time: meta.Timestamp.UnixMilli(), own: own})
	if err == nil && own && results != nil {
		s.lines[m.line].applied(m.number, results)
	}
	s.wakes.tell()
	return err
}

func (s *Store) advance(m *message, size int, at moment) ([]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case at.sequence <= s.state.applied:
		return nil, nil
	case at.sequence != s.state.applied+1:
		return nil, errGap
	}
	results := s.state.apply(m, size, at)
	s.reach()
	return results, nil
}

// load begins with the newest snapshot, or with nothing if there is none.
func (s *Store) load(ctx context.Context) error {
	newest, err := s.newest(ctx)
	if err != nil {
		return err
	}
	fresh := newState()
	if newest.sequence > 0 {
		if fresh, err = s.readSnapshot(ctx, newest); err != nil {
			return err
		}
	} else if err := s.checkWhole(ctx); err != nil {
		return err
	}
	fresh.news = s.wakes.add
	s.mu.Lock()
	s.state = fresh
	s.reach()
	s.mu.Unlock()
	if own := fresh.members[s.session]; own != nil {
		for i, p := range s.lines {
			p.unseen(own.numbers[i])
		}
	}
	return nil
}

// newest finds the snapshot that goes furthest. A zero one says that there is none.
func (s *Store) newest(ctx context.Context) (newest snapshot, err error) {
	for next := uint64(1); ; {
		raw, err := s.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(s.subject(subjects[snapshots])))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return newest, nil
		}
		if err != nil {
			return newest, err
		}
		m, err := decodeMessage(raw.Data)
		if err != nil {
			return newest, fmt.Errorf("message %d: %w", raw.Sequence, err)
		}
		for _, c := range m.commands {
			if f, ok := c.(*finish); ok && f.sequence > newest.sequence {
				newest = f.snapshot
			}
		}
		next = raw.Sequence + 1
	}
}

// checkWhole fails if the stream does not begin with its first message.
func (s *Store) checkWhole(ctx context.Context) error {
	info, err := s.stream.Info(ctx)
	if err != nil || info.State.FirstSeq <= 1 {
		return err
	}
	select { // the server that knows of no snapshot may lag behind
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(lagTime):
	}
	if newest, err := s.newest(ctx); err != nil || newest.sequence > 0 {
		return errors.Join(errGap, err)
	}
	return fmt.Errorf("%w: the stream begins with message %d, and has no snapshot", queue.ErrCorrupt, info.State.FirstSeq)
}

// chunkStream is the name of the stream of the chunks of snapshots: apart, so that
// only who needs one reads it.
func (s *Store) chunkStream() string { return s.opts.Stream + "-snapshot" }

// chunkSubject is that of a chunk of the snapshot up to this sequence.
func (s *Store) chunkSubject(sequence uint64, chunk uint64) string {
	return s.subject("chunk." + strconv.FormatUint(sequence, 10) + "." + strconv.FormatUint(chunk, 10))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readSnapshot reads the chunks of a snapshot, several at once. If one is missing, a
// newer snapshot has taken its place.
func (s *Store) readSnapshot(ctx context.Context, n snapshot) (*state, error) {
	stream, err := s.js.Stream(ctx, s.chunkStream())
	if err != nil {
		return nil, err
	}
	chunks := make([][]byte, n.chunks)
	err = inParallel(len(chunks), parallel, func(i int) error {
		m, err := stream.GetLastMsgForSubject(ctx, s.chunkSubject(n.sequence, uint64(i)))
		if err == nil {
			chunks[i] = m.Data
		}
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: snapshot %d: %w", errGap, n.sequence, err)
	}
	if err != nil {
		return nil, err
	}
	content := make([]byte, 0, n.size)
	for _, c := range chunks {
		content = append(content, c...)
	}
	if uint64(len(content)) != n.size || crc32.Checksum(content, castagnoli) != n.sum {
		return nil, fmt.Errorf("%w: snapshot %d has changed", queue.ErrCorrupt, n.sequence)
	}
	st, err := decodeState(content)
	if err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", n.sequence, err)
	}
	return st, nil
}

// parallel is how many large requests to the servers are under way at once.
const parallel = 8

// inParallel calls f for 0 to n-1, so many at once, and returns its first errors.
func inParallel(n, width int, f func(i int) error) error {
	var group sync.WaitGroup
	var mu sync.Mutex // guards next and first
	var next int
	var first error
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n && first == nil
	}
	for range min(n, width) {
		group.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := f(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return first
}
