package natsqueue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
)

// call is a call of the store that waits until its commands are applied here.
type call struct {
	ended  atomic.Bool // with a result, or by who called
	result any
	done   chan struct{} // closed when there is a result
	// undo, if not nil, gives back a result that nobody waits for any more.
	undo func(result any)
}

// end gives the call its result.
func (c *call) end(result any) {
	if c.ended.CompareAndSwap(false, true) {
		c.result = result
		close(c.done)
	} else if c.undo != nil {
		c.undo(result)
	}
}

// fail ends the call if it waits: there is nothing to undo.
func (c *call) fail(err error) {
	if c.ended.CompareAndSwap(false, true) {
		c.result = err
		close(c.done)
	}
}

// part is a command of a call, as it is stored.
type part struct {
	*call
	last    bool // of the call: the result of this command is that of the call
	encoded []byte
}

const (
	// messageSize is how much is gathered into a message: enough for the costs of a
	// message to be shared, and little enough that one job is read without much else.
	messageSize = 128 << 10
	// commandSize is about how large a command is made that can be divided.
	commandSize = 32 << 10
	// overhead is what a message has beside its data.
	overhead = 512
	// publishTimeout is how long an acknowledgement is waited for before the message
	// is published again.
	publishTimeout = 2 * time.Second
	// publishAgain is how long is waited after a refusal.
	publishAgain = 100 * time.Millisecond
)

// publisher publishes the messages of one line, each after the one before it was
// acknowledged. What comes meanwhile is gathered into the next.
type publisher struct {
	store *Store
	line  line
	wake  chan struct{}

	mu      sync.Mutex // guards all below
	waiting []part
	number  uint64
	// published are the parts of messages that may yet be applied, by number.
	published map[uint64][]part
}

func newPublisher(s *Store, l line) *publisher {
	return &publisher{store: s, line: l, wake: make(chan struct{}, 1), published: map[uint64][]part{}}
}

// add has the parts published, one after another.
func (p *publisher) add(parts ...part) {
	p.mu.Lock()
	p.waiting = append(p.waiting, parts...)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for ctx.Err() == nil {
			number, parts := p.next()
			if len(parts) == 0 {
				break
			}
			if err := p.publish(ctx, number, parts); err != nil {
				p.refused(number, err)
			}
		}
	}
}

// next takes parts for a message, but for those of calls that have ended.
func (p *publisher) next() (number uint64, parts []part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, taken := 0, 0
	for _, next := range p.waiting {
		if !next.ended.Load() {
			if size += len(next.encoded); size > p.store.gather && len(parts) > 0 {
				break
			}
			parts = append(parts, next)
		}
		taken++
		if p.line == snapshots && len(parts) > 0 {
			break // a snapshot is of the state between two messages
		}
	}
	clear(p.waiting[:taken])
	p.waiting = p.waiting[taken:]
	if len(parts) > 0 {
		p.number++
		p.published[p.number] = parts
	}
	return p.number, parts
}

// publish publishes a message until it is stored, or nobody waits for it. It returns
// why the server refuses it.
func (p *publisher) publish(ctx context.Context, number uint64, parts []part) error {
	s := p.store
	m := message{session: s.session, line: p.line, number: number}
	data := m.appendHead(nil)
	for _, part := range parts {
		data = append(data, part.encoded...)
	}
	id := hex.EncodeToString(s.session[:]) + subjects[p.line] + strconv.FormatUint(number, 10)
	return s.persist(ctx, &nats.Msg{Subject: s.subject(subjects[p.line]), Data: data}, id, func() bool { return waited(parts) })
}

// persist publishes a message until it is stored, or nobody wants it any more. It
// returns why the server refuses it.
func (s *Store) persist(ctx context.Context, m *nats.Msg, id string, wanted func() bool) error {
	for tries := 0; wanted(); tries++ {
		err := s.try(ctx, m, id)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if err = explain(err); !temporary(err) {
			return err
		}
		if tries == 0 {
			s.opts.Log.Warn("natsqueue: not acknowledged, published until it is", "subject", m.Subject, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(publishAgain):
		}
	}
	return nil
}

func (s *Store) try(ctx context.Context, m *nats.Msg, id string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := s.js.PublishMsg(ctx, m, jetstream.WithMsgID(id))
	return err
}

// waited reports whether anybody waits for one of the parts.
func waited(parts []part) bool {
	for _, p := range parts {
		if !p.ended.Load() {
			return true
		}
	}
	return false
}

// refused ends the calls of a message that is not stored.
func (p *publisher) refused(number uint64, err error) {
	p.mu.Lock()
	parts := p.published[number]
	delete(p.published, number)
	p.mu.Unlock()
	for _, part := range parts {
		part.fail(err)
	}
}

// applied hands out the results of a message. Those before it, if they were not
// applied, have no effect any more.
func (p *publisher) applied(number uint64, results []any) {
	for i, part := range p.settled(number) {
		if part.last {
			part.end(results[i])
		}
	}
}

// settled returns the parts of a message, and forgets it and those before it.
func (p *publisher) settled(number uint64) []part {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := p.published[number]
	for n := range p.published {
		if n <= number {
			delete(p.published, n)
		}
	}
	return parts
}

// errUnseen ends calls whose results this process has missed.
var errUnseen = errors.New("done, or not, while this process was behind the stream: do it again")

// unseen ends the calls of messages up to this number: they are in a snapshot.
func (p *publisher) unseen(number uint64) {
	p.mu.Lock()
	var parts []part
	for n, m := range p.published {
		if n <= number {
			parts = append(parts, m...)
			delete(p.published, n)
		}
	}
	p.mu.Unlock()
	for _, part := range parts {
		part.fail(errUnseen)
	}
}

// close ends all calls.
func (p *publisher) close(err error) {
	p.mu.Lock()
	parts := p.waiting
	for _, m := range p.published {
		parts = append(parts, m...)
	}
	p.waiting, p.published = nil, map[uint64][]part{}
	p.mu.Unlock()
	for _, part := range parts {
		part.fail(err)
	}
}

// Codes of errors of JetStream.
const (
	noResources     = 10023
	noStorage       = 10047
	messageTooLarge = 10054
	storeFailed     = 10077
)

// explain adds the error of package queue that the server's stands for.
func explain(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case noResources, noStorage, storeFailed:
			return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
		}
	}
	return err
}

// temporary reports whether a message that met this error can yet be stored. What is
// not known is temporary.
func temporary(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case noStorage, storeFailed, messageTooLarge:
			return false
		}
		return true
	}
	return !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrPermissionViolation)
}

// do has a command done, and returns its result.
func do[R any](ctx context.Context, s *Store, name string, c command, undo func(any)) (result R, err error) {
	line := changes
	switch c.(type) {
	case *begin, *finish:
		line = snapshots
	}
	got, err := s.give(ctx, name, line, undo, c)
	if r, ok := got.(R); ok {
		result = r
	}
	return result, err
}

// give publishes commands, and waits until they are applied. The result is that of
// the last.
func (s *Store) give(ctx context.Context, name string, l line, undo func(any), commands ...command) (any, error) {
	c := &call{done: make(chan struct{}), undo: undo}
	parts := make([]part, len(commands))
	for i, command := range commands {
		encoded, err := s.encode(command)
		if err != nil {
			return nil, fmt.Errorf("natsqueue: %s: %w", name, err)
		}
		parts[i] = part{c, i == len(commands)-1, encoded}
	}
	s.lines[l].add(parts...)
	select {
	case <-c.done:
	case <-s.ended:
		return nil, s.named(name, s.fault())
	case <-ctx.Done():
		if c.ended.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("natsqueue: %s: no acknowledgement of stream %q: %w", name, s.opts.Stream, context.Cause(ctx))
		}
		<-c.done
	}
	if err, ok := c.result.(error); ok {
		return nil, s.named(name, err)
	}
	return c.result, nil
}

// encode returns a command as it is stored. Whoever cannot read a message can go no
// further, so no command is given that cannot be read back.
func (s *Store) encode(c command) ([]byte, error) {
	b := c.append(nil)
	if len(b)+headSize > s.payload {
		return nil, fmt.Errorf("%d bytes are more than the %d that the server's max_payload leaves", len(b), s.payload-headSize)
	}
	d := decoder{b: b}
	d.command()
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("cannot be stored: %v", err)
	}
	return b, nil
}
