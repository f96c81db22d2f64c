package natsqueue

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// state is what the messages of the stream add up to. It is not safe for concurrent
// use.
type state struct {
	applied  uint64 // sequence of the last message
	clock    int64  // of the stream, which is never set back
	schedule *schedule.Schedule
	jobs     table
	flows    names[queue.Flow]
	// templates has a user for each job, and one more for being stored.
	templates names[queue.Hash]
	texts     map[uint32]*text // of the templates, by number
	keys      map[keyHash]keyed
	// live counts what is in use of a message of puts, by sequence.
	live     map[uint64]int
	members  map[session]*member
	stages   map[session]*stage
	entries  map[entry]queue.Suppression
	sent     map[window]map[int64]int // by slot
	workers  map[tracking.ID]life
	pending  map[uint64]pending    // events, by their place
	obeyed   map[tracking.ID]int64 // events, and when
	snapshot progress

	// What follows is no part of the state. News, if not nil, is told of flows that
	// other sessions have put jobs into; freed lists the messages of puts that a sweep
	// leaves without use.
	news  func(queue.Flow)
	freed []uint64
}

// text is where a template lies.
type text struct {
	places []uint64 // of its chunks
	used   int64    // when a batch last named it
}

type keyHash [16]byte

// keyed is the job that has an idempotency key.
type keyed struct {
	id     tracking.ID
	digest [16]byte
}

// member is what is known of a session.
type member struct {
	numbers [lines]uint64 // of its last messages
	seen    int64
}

// memberTime is how long a session is remembered that publishes nothing. A message
// is not published again after so long.
const memberTime = 24 * time.Hour

// stage is a batch of which the last piece has not come.
type stage struct {
	call   uint64
	pieces []staged
}

type staged struct {
	*piece
	moment
}

// entry is the key of a suppression: the address in lower case, and the stream.
type entry struct{ address, stream string }

func entryOf(address, stream string) entry { return entry{strings.ToLower(address), stream} }

// window is what tells one limit from another.
type window struct {
	name string
	span time.Duration
}

// progress is how far snapshots are.
type progress struct {
	covered uint64 // sequence up to which the last one goes
	size    uint64 // its bytes
	bytes   uint64 // of messages since
	writing uint64 // sequence up to which one is being written; 0 if none is
	until   int64  // when another may be begun in any case
	before  uint64 // of the bytes, those before the one that is being written
}

func newState() *state {
	return &state{
		schedule:  schedule.New(0),
		jobs:      newTable(),
		flows:     newNames[queue.Flow](),
		templates: newNames[queue.Hash](),
		texts:     map[uint32]*text{},
		keys:      map[keyHash]keyed{},
		live:      map[uint64]int{},
		members:   map[session]*member{},
		stages:    map[session]*stage{},
		entries:   map[entry]queue.Suppression{},
		sent:      map[window]map[int64]int{},
		workers:   map[tracking.ID]life{},
		pending:   map[uint64]pending{},
		obeyed:    map[tracking.ID]int64{},
	}
}

// apply applies a message that the stream stored under this sequence at this time,
// and returns the results of its commands; nil if it had come before.
func (s *state) apply(m *message, size int, at moment) []any {
	s.applied = at.sequence
	s.clock = max(s.clock, at.time)
	at.time = s.clock
	s.snapshot.bytes += uint64(size)
	from := s.members[m.session]
	if from == nil {
		from = &member{}
		s.members[m.session] = from
	}
	from.seen = at.time
	if m.number <= from.numbers[m.line] {
		return nil
	}
	from.numbers[m.line] = m.number
	at.session = m.session
	results := make([]any, len(m.commands))
	for i, c := range m.commands {
		at.index = i
		results[i] = c.apply(s, at)
		if p, ok := c.(*piece); ok {
			at.ordinal += len(p.jobs)
		}
	}
	return results
}

// woken tells of a job that has come.
func (s *state) woken(job *record) {
	if s.news != nil {
		s.news(s.flows.keys[job.flow])
	}
}

// matches looks at all but the IDs and the address.
func (s *state) matches(f *queue.Filter, job *record) bool {
	flow := &s.flows.keys[job.flow]
	return (f.Lane == "" || f.Lane == flow.Lane) &&
		(f.Tenant == "" || f.Tenant == flow.Tenant) &&
		(f.Campaign == "" || f.Campaign == flow.Campaign) &&
		(len(f.States) == 0 || slices.Contains(f.States, job.state))
}

// hold counts a use of a message, release takes one back.
func (s *state) hold(sequence uint64) { s.live[sequence]++ }

func (s *state) release(sequence uint64) {
	if s.live[sequence]--; s.live[sequence] == 0 {
		delete(s.live, sequence)
		s.freed = append(s.freed, sequence)
	}
}

// apply stages the piece or, if it is the last, puts the batch.
func (p *piece) apply(s *state, m moment) any {
	batch := s.stages[m.session]
	if batch == nil || batch.call != p.call {
		s.unstage(m.session)
		batch = &stage{call: p.call}
		s.stages[m.session] = batch
	}
	if p.part != len(batch.pieces) {
		s.unstage(m.session)
		return fmt.Errorf("natsqueue: part %d of a batch came after %d", p.part, len(batch.pieces))
	}
	batch.pieces = append(batch.pieces, staged{p, m})
	s.hold(m.sequence)
	if !p.last {
		return nil
	}
	accepted, err := s.put(batch.pieces)
	s.unstage(m.session)
	if err != nil {
		return err
	}
	return accepted
}

func (s *state) unstage(of session) {
	if batch := s.stages[of]; batch != nil {
		for _, p := range batch.pieces {
			s.release(p.sequence)
		}
		delete(s.stages, of)
	}
}

// put takes in a batch, all or nothing.
func (s *state) put(pieces []staged) ([]queue.Accepted, error) {
	last := pieces[len(pieces)-1]
	number, known := s.templates.numbers[last.hash]
	if !known && !pieces[0].hasText {
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, last.hash[:])
	}
	in := intake{state: s, before: s.jobs.len(), own: last.own}
	err := in.sift(pieces)
	if err == nil && last.limit > 0 && int64(s.schedule.Len()+s.jobs.len()-in.before) > last.limit {
		err = queue.ErrFull
	}
	if err != nil {
		in.undo()
		return nil, err
	}
	if !known {
		number = s.store(pieces)
	}
	s.texts[number].used = last.time
	in.enter(number)
	return in.accepted, nil
}

// store notes where a new template lies.
func (s *state) store(pieces []staged) uint32 {
	t := &text{}
	for _, p := range pieces {
		if p.hasText {
			t.places = append(t.places, placeOf(p.sequence, p.index))
			s.hold(p.sequence)
		}
	}
	number := s.templates.use(pieces[0].hash)
	s.texts[number] = t
	return number
}

// intake is a batch on its way into the state.
type intake struct {
	*state
	before   int  // the jobs
	own      bool // of this process
	keys     []keyHash
	accepted []queue.Accepted
	flows    []queue.Flow // of the new jobs
}

// sift adds the jobs that are new to the table, and nowhere else.
func (in *intake) sift(pieces []staged) error {
	for _, p := range pieces {
		for i := range p.jobs {
			answer, err := in.add(p, i)
			if err != nil {
				return err
			}
			if in.own {
				in.accepted = append(in.accepted, answer)
			}
		}
	}
	return nil
}

func (in *intake) add(p staged, i int) (queue.Accepted, error) {
	job := &p.jobs[i]
	answer := queue.Accepted{ID: job.id, Known: true}
	if in.jobs.find(job.id) != nil {
		return answer, nil
	}
	if len(job.key) > 0 {
		hash := hashKey(job.key)
		first, known := in.state.keys[hash]
		switch {
		case known && first.digest != job.digest:
			return answer, &queue.KeyError{Key: string(job.key), First: first.id}
		case known:
			answer.ID = first.id
			return answer, nil
		}
		in.state.keys[hash] = keyed{job.id, job.digest}
		in.keys = append(in.keys, hash)
	}
	in.jobs.add(record{
		id: job.id, place: placeOf(p.sequence, p.ordinal+i), due: job.due, address: hashAddress(job.address),
		attempts: job.attempts, state: job.state, last: string(job.last),
	})
	in.flows = append(in.flows, p.flows[job.flow])
	answer.Known = false
	return answer, nil
}

func (in *intake) undo() {
	in.jobs.dropLast(in.jobs.len() - in.before)
	for _, k := range in.keys {
		delete(in.state.keys, k)
	}
}

// enter schedules the new jobs.
func (in *intake) enter(template uint32) {
	s := in.state
	hash := s.templates.keys[template]
	for i, slot := range s.jobs.order[in.before:] {
		job, flow := s.jobs.at(slot), in.flows[i]
		job.flow = s.flows.use(flow)
		job.template = s.templates.use(hash)
		s.hold(sequenceOf(job.place))
		if job.state == queue.Ready {
			job.state = s.schedule.Holds().Arrival(flow)
		}
		s.schedule.Add(job.id, flow, schedule.Time(job.due), job.state)
		if !in.own {
			s.woken(job)
		}
	}
}

func hashKey(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:])
}

func hashAddress[T string | []byte](address T) uint32 { return crc32.ChecksumIEEE([]byte(address)) }

// sweep forgets finished jobs that were last due, and made, before the given time,
// and what only they needed. Now is the time of the stream.
func (s *state) sweep(before int64, now int64) {
	s.freed = nil
	s.jobs.drop(func(job *record) bool {
		if job.state <= queue.Held || job.due >= before || job.id.Time().UnixMilli() >= before || s.schedule.Leased(job.id) {
			return false
		}
		s.schedule.End(job.state, -1)
		s.flows.leave(job.flow)
		s.templates.leave(job.template)
		s.release(sequenceOf(job.place))
		return true
	})
	maps.DeleteFunc(s.keys, func(_ keyHash, k keyed) bool { return s.jobs.find(k.id) == nil })
	s.sweepTemplates(before)
	maps.DeleteFunc(s.sent, func(w window, slots map[int64]int) bool { return over(w, slots, now) })
	maps.DeleteFunc(s.obeyed, func(_ tracking.ID, at int64) bool { return now-at > obeyTime.Milliseconds() })
	for of, m := range s.members {
		if now-m.seen > memberTime.Milliseconds() {
			s.unstage(of)
			delete(s.members, of)
		}
	}
}

func (s *state) sweepTemplates(before int64) {
	for number, t := range s.texts {
		if s.templates.users[number] > 1 || t.used >= before {
			continue
		}
		for _, place := range t.places {
			s.release(sequenceOf(place))
		}
		delete(s.texts, number)
		s.templates.leave(number)
	}
}

// over reports whether nothing counts any more of what was sent in a window.
func over(w window, slots map[int64]int, now int64) bool {
	of := queue.Window{Name: w.name, Span: w.span}
	for slot := range slots {
		if of.Free(slot).UnixMilli() >= now {
			return false
		}
	}
	return true
}
