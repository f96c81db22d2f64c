package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue/internal/schedule"
)

const (
	// upkeepEvery is about how often is looked whether a snapshot is due, and
	// sweepEvery how old the last one gets, if anything has happened since.
	upkeepEvery = time.Second
	sweepEvery  = time.Hour
	// writeTime is how long a process has to write a snapshot, before another may.
	writeTime = 5 * time.Minute
	// maxDeletes is how many messages are deleted one by one after a snapshot. What is
	// more goes when all before it can go.
	maxDeletes = 10_000
)

// runUpkeep writes a snapshot whenever one is due, until ctx ends. Of all processes
// one does.
func (s *Store) runUpkeep(ctx context.Context) {
	covered, since := uint64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(upkeepEvery/2 + rand.N(upkeepEvery)): // not all at the same time
		}
		s.recorder.adopt(time.Now())
		var p progress
		s.look(func(st *state) { p = st.snapshot })
		if p.covered != covered {
			covered, since = p.covered, time.Now()
		}
		enough := p.bytes >= max(uint64(s.opts.SnapshotBytes), p.size)
		old := p.bytes > 0 && time.Since(since) > sweepEvery
		if !enough && !old || p.writing != 0 && time.Now().UnixMilli() < p.until {
			continue
		}
		if err := s.writeSnapshot(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.opts.Log.Error("natsqueue: snapshot", slog.Any("error", err))
		}
	}
}

// Sweep forgets now what the options no longer keep: finished jobs, and templates
// that no job needs. It writes a snapshot to this end, unless another process is at
// it. It also happens by itself, at least once an hour.
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.named("sweep", s.writeSnapshot(ctx, time.Now()))
}

// writeSnapshot writes the state down, and deletes what led to it.
func (s *Store) writeSnapshot(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	before := int64(-1 << 62)
	if s.opts.KeepFinished > 0 {
		before = schedule.Millis(now.Add(-s.opts.KeepFinished))
	}
	d, err := do[*draft](ctx, s, "begin snapshot", &begin{writeTime.Milliseconds(), before}, nil)
	if err != nil || d == nil {
		return err
	}
	chunks, err := s.writeChunks(ctx, d)
	if err != nil {
		return err
	}
	counts, err := do[bool](ctx, s, "finish snapshot", &finish{chunks.snapshot}, nil)
	if err != nil || !counts {
		return err
	}
	return s.purge(ctx, d, chunks)
}

// written is a snapshot in the stream of chunks.
type written struct {
	snapshot
	stream jetstream.Stream
	before uint64 // sequence of the last chunk of others when it was begun
}

func (s *Store) writeChunks(ctx context.Context, d *draft) (written, error) {
	stream, err := s.provide(ctx, jetstream.StreamConfig{
		Name: s.chunkStream(), Description: "franqueo: snapshots of a queue of mail", Subjects: []string{s.subject("chunk.>")},
		Replicas: s.opts.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true,
	})
	if err != nil {
		return written{}, err
	}
	var info *jetstream.StreamInfo
	err = request(ctx, func(ctx context.Context) error {
		info, err = stream.Info(ctx)
		return err
	})
	if err != nil {
		return written{}, err
	}
	chunks := slices.Collect(slices.Chunk(d.content, min(s.payload, chunkSize)))
	err = inParallel(len(chunks), parallel, func(i int) error {
		subject := s.chunkSubject(d.sequence, uint64(i))
		wanted := func() bool { return ctx.Err() == nil }
		if err := s.persist(ctx, &nats.Msg{Subject: subject, Data: chunks[i]}, subject, wanted); err != nil {
			return err
		}
		return context.Cause(ctx)
	})
	return written{
		snapshot: snapshot{d.sequence, uint64(len(chunks)), uint64(len(d.content)), crc32.Checksum(d.content, castagnoli)},
		stream:   stream, before: info.State.LastSeq,
	}, err
}

// chunkSize is how much of a snapshot goes into a message.
const chunkSize = 512 << 10

// purge deletes what the snapshot makes superfluous. What it leaves, the next one
// deletes, or a later one.
func (s *Store) purge(ctx context.Context, d *draft, w written) error {
	before := func(stream jetstream.Stream, sequence uint64, opts ...jetstream.StreamPurgeOpt) error {
		return request(ctx, func(ctx context.Context) error {
			return stream.Purge(ctx, append(opts, jetstream.WithPurgeSequence(sequence))...)
		})
	}
	faults := []error{
		before(s.stream, d.sequence+1, jetstream.WithPurgeSubject(s.subject(subjects[changes]))),
		before(s.stream, d.sequence+1, jetstream.WithPurgeSubject(s.subject(subjects[snapshots]))),
		before(s.stream, d.first, jetstream.WithPurgeSubject(s.subject(subjects[puts]))),
		before(w.stream, w.before+1),
	}
	var dead []uint64
	for _, sequence := range d.freed {
		if sequence >= d.first && len(dead) < maxDeletes {
			dead = append(dead, sequence)
		}
	}
	faults = append(faults, inParallel(len(dead), parallel, func(i int) error {
		err := request(ctx, func(ctx context.Context) error { return s.stream.DeleteMsg(ctx, dead[i]) })
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		return err
	}))
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("snapshot %d is complete, but not all before it is deleted: %w", d.sequence, err)
	}
	return nil
}
