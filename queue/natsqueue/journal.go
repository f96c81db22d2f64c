package natsqueue

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Events ride in the commands that they come with, so they are durable in the same
// step. The state remembers them until they are in the stream of events, to which the
// process takes them whose command it was, or another one when that is gone. A reader
// looks at both.

// note is an event as it is stored: JSON, so that other programs can read the stream
// of events.
type note struct {
	// consent says that the event is about what the recipient wishes.
	consent bool
	data    []byte
}

// noteOf writes an event down, with its time in milliseconds, if it can be read back.
func noteOf(e tracking.Event) (note, error) {
	e.Time = schedule.Round(e.Time)
	data, err := json.Marshal(&e)
	if err == nil {
		err = json.Unmarshal(data, &tracking.Event{})
	}
	if err != nil {
		return note{}, fmt.Errorf("%s event %v: %w", e.Type, e.ID, err)
	}
	return note{e.Type == tracking.Unsubscribed || e.Type == tracking.Resubscribed, data}, nil
}

func notesOf(events []tracking.Event) ([]note, error) {
	notes := make([]note, len(events))
	for i := range events {
		var err error
		if notes[i], err = noteOf(events[i]); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

func (n note) event() (e tracking.Event, err error) {
	if err = json.Unmarshal(n.data, &e); err != nil {
		err = fmt.Errorf("%w: event %q: %v", queue.ErrCorrupt, n.data, err)
	}
	return e, err
}

func appendNotes(b []byte, notes []note) []byte {
	b = binary.AppendUvarint(b, uint64(len(notes)))
	for _, n := range notes {
		consent := byte(0)
		if n.consent {
			consent = 1
		}
		b = appendText(append(b, consent), n.data)
	}
	return b
}

func (d *decoder) notes() (out []note) {
	for range d.count(2) {
		n := note{d.natural(1) == 1, d.bytes()}
		if _, err := n.event(); n.consent && err != nil && d.err == nil {
			d.fail("%v", err)
		}
		out = append(out, n)
	}
	return out
}

// record stores events that come with nothing. Its result is their place.
type recordEvents struct{ notes []note }

// pending are events that are not in the stream of events yet.
type pending struct {
	since int64
	notes []note
}

// obeyTime is how long the events about what a recipient wishes are remembered: one
// that comes again within that time changes nothing.
const obeyTime = 30 * 24 * time.Hour

// remember keeps events under their place until they are in the stream of events.
func (s *state) remember(place uint64, notes []note, now int64) {
	for _, n := range notes {
		s.obey(n, now)
	}
	p := s.pending[place]
	s.pending[place] = pending{now, append(p.notes, notes...)}
}

// obey keeps the suppression list as the recipient wishes.
func (s *state) obey(n note, now int64) {
	if !n.consent {
		return
	}
	e, _ := n.event() // read before
	if _, known := s.obeyed[e.ID]; known {
		return
	}
	s.obeyed[e.ID] = now
	entry := queue.ByUnsubscribe(&e)
	key := entryOf(entry.Address, entry.Stream)
	switch {
	case e.Recipient == "":
	case e.Type == tracking.Unsubscribed:
		entry.Address = key.address
		s.entries[key] = entry
	case e.Type == tracking.Resubscribed:
		delete(s.entries, key)
	}
}

func (c *recordEvents) append(b []byte) []byte {
	return appendNotes(append(b, byte(kindRecord)), c.notes)
}

func (c *recordEvents) apply(s *state, m moment) any {
	place := placeOf(m.sequence, m.index)
	s.remember(place, c.notes, m.time)
	return place
}

// recorded says that what was pending at these places is in the stream of events.
type recorded struct{ places []uint64 }

func (c *recorded) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(kindRecorded)), uint64(len(c.places)))
	for _, p := range c.places {
		b = binary.AppendUvarint(b, p)
	}
	return b
}

func (d *decoder) recorded() command {
	c := &recorded{places: make([]uint64, d.count(1))}
	for i := range c.places {
		c.places[i] = d.uvarint()
	}
	return c
}

func (c *recorded) apply(s *state, _ moment) any {
	for _, place := range c.places {
		delete(s.pending, place)
	}
	return nil
}

func (s *state) appendJournal(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.obeyed)))
	for _, id := range slices.SortedFunc(maps.Keys(s.obeyed), compare) {
		b = binary.AppendVarint(append(b, id[:]...), s.obeyed[id])
	}
	b = binary.AppendUvarint(b, uint64(len(s.pending)))
	for _, place := range slices.Sorted(maps.Keys(s.pending)) {
		p := s.pending[place]
		b = appendNotes(binary.AppendVarint(binary.AppendUvarint(b, place), p.since), p.notes)
	}
	return b
}

func (d *decoder) journal(s *state) {
	for range d.count(len(tracking.ID{}) + 1) {
		id := d.id()
		s.obeyed[id] = d.varint()
	}
	for range d.count(3) {
		place := d.uvarint()
		s.pending[place] = pending{d.varint(), d.notes()}
	}
}

// label fills in what events leave empty from the jobs that they are about.
func (s *Store) label(ctx context.Context, events []tracking.Event) ([]tracking.Event, error) {
	out := slices.Clone(events)
	var jobs []known
	var about []int // which of the events
	s.look(func(st *state) {
		for i := range out {
			if job := st.jobs.find(out[i].Message); job != nil {
				jobs, about = append(jobs, st.known(job)), append(about, i)
			}
		}
	})
	places := make([]uint64, len(jobs))
	for i := range jobs {
		places[i] = jobs[i].place
	}
	found, faults := s.fetchPieces(ctx, places)
	for i := range jobs {
		job, err := found.job(&jobs[i])
		if failed := faults[sequenceOf(jobs[i].place)]; failed != nil {
			err = failed
		}
		if err != nil && !s.forgotten(jobs[i].id) {
			return nil, err
		}
		if err == nil {
			schedule.Label(&out[about[i]], &job)
		}
	}
	return out, nil
}

// Record keeps events.
func (s *Store) Record(ctx context.Context, events []tracking.Event) error {
	if err := schedule.CheckEvents(events); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	labelled, err := s.label(ctx, events)
	if err != nil {
		return s.named("record", err)
	}
	notes, err := notesOf(labelled)
	if err != nil {
		return s.named("record", err)
	}
	for start := 0; start < len(notes); {
		end, size := start, 0
		for end < len(notes) && (end == start || size < commandSize) {
			size += len(notes[end].data)
			end++
		}
		place, err := do[uint64](ctx, s, "record", &recordEvents{notes[start:end]}, nil)
		if err != nil {
			return err
		}
		s.recorder.put(place, notes[start:end])
		start = end
	}
	s.recorder.wait(ctx, maxUnrecorded)
	return nil
}

// eventStream is the name of the stream of events.
func (s *Store) eventStream() string { return s.opts.Stream + "-event" }

// eventSubject has what events are looked up by; what is empty stands for all.
func (s *Store) eventSubject(message, recipient, id string) string {
	return s.subject("event." + cmp.Or(message, "*") + "." + cmp.Or(recipient, "*") + "." + cmp.Or(id, "*"))
}

func recipientToken(address string) string {
	return strconv.FormatUint(uint64(hashAddress(address)), 16)
}

// openEvents finds the stream of events, or makes it.
func (s *Store) openEvents(ctx context.Context) (jetstream.Stream, error) {
	return s.provide(ctx, jetstream.StreamConfig{
		Name: s.eventStream(), Description: "franqueo: events of mail", Subjects: []string{s.eventSubject("", "", "")},
		Replicas: s.opts.Replicas, Storage: jetstream.FileStorage, MaxAge: max(s.opts.KeepEvents, 0), AllowDirect: true,
	})
}

// Events returns the events that match. Message and Recipient are looked up; for any
// other filter all events are read.
func (s *Store) Events(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	stream, err := s.openEvents(ctx)
	if err != nil {
		return nil, s.named("events", err)
	}
	fresh, err := s.pendingEvents()
	if err != nil {
		return nil, s.named("events", err)
	}
	from := tracking.Event{}
	if !after.IsZero() {
		if from, err = s.event(ctx, stream, fresh, after); err != nil {
			return nil, err
		}
	}
	if limit <= 0 {
		return nil, nil
	}
	var page page
	err = again(ctx, func(ctx context.Context) error {
		page.filter, page.after, page.limit, page.events = f, from, limit, nil
		return s.scan(ctx, stream, f, func(e tracking.Event) {
			page.add(e)
			fresh = slices.DeleteFunc(fresh, func(p tracking.Event) bool { return p.ID == e.ID })
		})
	})
	if err != nil {
		return nil, s.named("events", err)
	}
	for _, e := range fresh {
		page.add(e)
	}
	return page.events, nil
}

// pendingEvents are the events that are not in the stream of events yet, as they came.
func (s *Store) pendingEvents() (events []tracking.Event, err error) {
	var notes []note
	s.look(func(st *state) {
		for _, place := range slices.Sorted(maps.Keys(st.pending)) {
			notes = append(notes, st.pending[place].notes...)
		}
	})
	for _, n := range notes {
		e, fault := n.event()
		if fault != nil {
			return nil, fault
		}
		if !slices.ContainsFunc(events, func(first tracking.Event) bool { return first.ID == e.ID }) {
			events = append(events, e)
		}
	}
	return events, nil
}

// event returns the event with this ID.
func (s *Store) event(ctx context.Context, stream jetstream.Stream, fresh []tracking.Event, id tracking.ID) (tracking.Event, error) {
	var m *jetstream.RawStreamMsg
	err := request(ctx, func(ctx context.Context) (err error) {
		m, err = stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(s.eventSubject("", "", id.String())))
		return err
	})
	if err == nil {
		return note{data: m.Data}.event()
	}
	for _, e := range fresh {
		if e.ID == id {
			return e, nil
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return tracking.Event{}, schedule.UnknownEvent(id)
	}
	return tracking.Event{}, s.named("events", err)
}

// skewTime is how much later than it is stored an event can have happened, by the
// clocks.
const skewTime = 24 * time.Hour

// scan calls yield for the events in the stream that the filter can match.
func (s *Store) scan(ctx context.Context, stream jetstream.Stream, f queue.EventFilter, yield func(tracking.Event)) error {
	var message, recipient string
	if !f.Message.IsZero() {
		message = f.Message.String()
	}
	if f.Recipient != "" {
		recipient = recipientToken(f.Recipient)
	}
	config := jetstream.ConsumerConfig{
		FilterSubject: s.eventSubject(message, recipient, ""), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
		InactiveThreshold: time.Minute,
	}
	if !f.Since.IsZero() {
		since := f.Since.Add(-skewTime)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	var consumer jetstream.Consumer
	err := request(ctx, func(ctx context.Context) (err error) {
		consumer, err = stream.CreateConsumer(ctx, config)
		return err
	})
	if err != nil {
		return err
	}
	defer s.leave(stream, consumer)
	left := consumer.CachedInfo().NumPending
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(signOfLife), jetstream.PullExpiry(30*time.Second))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		e, err := note{data: m.Data()}.event()
		if err != nil {
			return err
		}
		yield(e)
	}
	return nil
}

// page is the first events after one, by time and ID, that a filter matches.
type page struct {
	filter queue.EventFilter
	after  tracking.Event
	limit  int
	events []tracking.Event
}

func byTime(a, b tracking.Event) int {
	return cmp.Or(a.Time.Compare(b.Time), compare(a.ID, b.ID))
}

// add takes in an event, if it belongs there.
func (p *page) add(e tracking.Event) {
	if !happened(&p.filter, &e) || !p.after.ID.IsZero() && byTime(e, p.after) <= 0 {
		return
	}
	at, found := slices.BinarySearchFunc(p.events, e, byTime)
	if found || at == p.limit {
		return
	}
	p.events = slices.Insert(p.events, at, e)
	p.events = p.events[:min(len(p.events), p.limit)]
}

func happened(f *queue.EventFilter, e *tracking.Event) bool {
	return (f.Message.IsZero() || f.Message == e.Message) &&
		(f.Recipient == "" || f.Recipient == e.Recipient) &&
		(f.Campaign == "" || f.Campaign == e.Campaign) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(f.Since.IsZero() || !e.Time.Before(schedule.Round(f.Since))) &&
		(f.Until.IsZero() || e.Time.Before(schedule.Round(f.Until)))
}
