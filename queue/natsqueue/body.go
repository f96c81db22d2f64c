package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
)

// cache keeps the messages of puts that came last.
type cache struct {
	limit int64

	mu    sync.Mutex // guards all below
	size  int64
	data  map[uint64][]byte // by sequence
	order []uint64          // as they came
}

func newCache(limit int64) *cache { return &cache{limit: limit, data: map[uint64][]byte{}} }

func (c *cache) get(sequence uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[sequence]
}

// add keeps a message, and forgets the oldest for it. The caller must not change it
// any more.
func (c *cache) add(sequence uint64, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.data[sequence]; ok || int64(len(data)) > c.limit {
		return
	}
	c.data[sequence] = data
	c.order = append(c.order, sequence)
	c.size += int64(len(data))
	for c.size > c.limit {
		c.size -= int64(len(c.data[c.order[0]]))
		delete(c.data, c.order[0])
		c.order = c.order[1:]
	}
}

// errMissing says that a message is not in the stream.
var errMissing = errors.New("a message is missing")

const (
	// lagTime is how long a server may take to have what a majority has.
	lagTime  = 2 * time.Second
	lagAgain = 20 * time.Millisecond
)

// fetch reads a message of puts.
func (s *Store) fetch(ctx context.Context, sequence uint64) ([]byte, error) {
	if data := s.bodies.get(sequence); data != nil {
		return data, nil
	}
	for start := time.Now(); ; {
		var m *jetstream.RawStreamMsg
		err := request(ctx, func(ctx context.Context) (err error) {
			m, err = s.stream.GetMsg(ctx, sequence)
			return err
		})
		if err == nil {
			s.bodies.add(sequence, m.Data)
			return m.Data, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, err
		}
		if time.Since(start) > lagTime {
			return nil, fmt.Errorf("%w: %w: message %d", queue.ErrCorrupt, errMissing, sequence)
		}
		select { // the server that answered may lag behind
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lagAgain):
		}
	}
}

// pieces are those of the messages of puts that a call needs.
type pieces map[uint64][]outline

// fetchPieces reads the messages that have what lies at these places, and returns why
// each was not read that was not.
func (s *Store) fetchPieces(ctx context.Context, places []uint64) (pieces, map[uint64]error) {
	var sequences []uint64
	for _, place := range places {
		sequences = append(sequences, sequenceOf(place))
	}
	slices.Sort(sequences)
	sequences = slices.Compact(sequences)
	found := make([][]outline, len(sequences))
	faults := make([]error, len(sequences))
	_ = inParallel(len(sequences), parallel, func(i int) error {
		found[i], faults[i] = s.fetchMessage(ctx, sequences[i])
		return nil
	})
	out, failed := pieces{}, map[uint64]error{}
	for i, sequence := range sequences {
		if faults[i] != nil {
			failed[sequence] = faults[i]
			continue
		}
		out[sequence] = found[i]
	}
	return out, failed
}

func (s *Store) fetchMessage(ctx context.Context, sequence uint64) ([]outline, error) {
	data, err := s.fetch(ctx, sequence)
	if err != nil {
		return nil, err
	}
	found, err := decodeOutlines(data)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", sequence, err)
	}
	return found, nil
}

// decodeOutlines reads a message of puts.
func decodeOutlines(data []byte) (found []outline, err error) {
	d := &decoder{b: data}
	d.messageHead()
	for len(d.b) > 0 {
		if k := kind(d.byte()); k != kindPiece {
			d.fail("command of kind %d among pieces", k)
		}
		found = append(found, d.outline())
	}
	return found, d.err
}

// known is what the state knows of a job.
type known struct {
	record
	flow     queue.Flow
	template queue.Hash
}

func (s *state) known(job *record) known {
	return known{*job, s.flows.keys[job.flow], s.templates.keys[job.template]}
}

// job puts a job together.
func (p pieces) job(k *known) (queue.Job, error) {
	ordinal := ordinalOf(k.place)
	for _, piece := range p[sequenceOf(k.place)] {
		if ordinal >= piece.count {
			ordinal -= piece.count
			continue
		}
		body, err := piece.job(ordinal)
		if err == nil && body.id == k.id {
			return k.with(&body)
		}
		break
	}
	return queue.Job{}, fmt.Errorf("%w: job %v is not where it was put", queue.ErrCorrupt, k.id)
}
