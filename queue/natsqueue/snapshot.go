package natsqueue

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// A snapshot is a state, written so that equal states are equal bytes: what is in no
// order is sorted, and what has a number gets it by that order.

// appendState writes the state.
func (s *state) appendState(b []byte) []byte {
	b = append(b, format)
	b = binary.AppendUvarint(b, s.applied)
	b = binary.AppendVarint(b, s.clock)
	b = binary.AppendUvarint(b, s.schedule.Token())
	b = s.appendProgress(b)
	b = s.appendHolds(b)
	flows, b := s.appendFlows(b)
	templates, b := s.appendTemplates(b)
	b = s.appendJobs(b, flows, templates)
	b = s.appendKeys(b)
	b = s.appendMembers(b)
	b = s.appendStages(b)
	b = s.appendEntries(b)
	b = s.appendSent(b)
	return s.appendJournal(s.appendWorkers(b))
}

func decodeState(b []byte) (*state, error) {
	d, s := &decoder{b: b}, newState()
	if v := d.byte(); d.err == nil && v != format {
		d.fail("snapshot of version %d", v)
	}
	s.applied, s.clock = d.uvarint(), d.varint()
	s.schedule.Resume(d.uvarint())
	d.progress(s)
	d.holds(s)
	flows := d.flows()
	d.jobs(s, flows, d.templates(s))
	d.keys(s)
	d.members(s)
	d.stages(s)
	d.entries(s)
	d.sent(s)
	d.workers(s)
	d.journal(s)
	return s, d.end()
}

func (s *state) appendProgress(b []byte) []byte {
	p := &s.snapshot
	for _, n := range []uint64{p.covered, p.size, p.bytes, p.writing, p.before} {
		b = binary.AppendUvarint(b, n)
	}
	return binary.AppendVarint(b, p.until)
}

func (d *decoder) progress(s *state) {
	p := &s.snapshot
	for _, n := range []*uint64{&p.covered, &p.size, &p.bytes, &p.writing, &p.before} {
		*n = d.uvarint()
	}
	p.until = d.varint()
}

func (s *state) appendHolds(b []byte) []byte {
	scopes := s.schedule.Holds().Scopes()
	b = binary.AppendUvarint(b, uint64(len(scopes)))
	for _, scope := range scopes {
		b = appendText(appendText(appendText(b, scope.Lane), scope.Tenant), scope.Campaign)
	}
	return b
}

func (d *decoder) holds(s *state) {
	for range d.count(3) {
		s.schedule.Holds().Add(schedule.Scope{Lane: d.text(), Tenant: d.text(), Campaign: d.text()})
	}
}

func compareFlows(a, b queue.Flow) int {
	return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Campaign, b.Campaign))
}

// appendFlows writes the flows, and returns their numbers in the snapshot by those in
// the state.
func (s *state) appendFlows(b []byte) (numbers []uint32, out []byte) {
	flows := slices.SortedFunc(maps.Keys(s.flows.numbers), compareFlows)
	numbers = make([]uint32, len(s.flows.keys))
	b = binary.AppendUvarint(b, uint64(len(flows)))
	for i, f := range flows {
		numbers[s.flows.numbers[f]] = uint32(i)
		b = appendFlow(b, f)
	}
	return numbers, b
}

func (d *decoder) flows() []queue.Flow {
	flows := make([]queue.Flow, d.count(4))
	for i := range flows {
		flows[i] = d.flow()
	}
	return flows
}

func (s *state) appendTemplates(b []byte) (numbers []uint32, out []byte) {
	hashes := slices.SortedFunc(maps.Keys(s.templates.numbers), func(a, b queue.Hash) int { return bytes.Compare(a[:], b[:]) })
	numbers = make([]uint32, len(s.templates.keys))
	b = binary.AppendUvarint(b, uint64(len(hashes)))
	for i, hash := range hashes {
		number := s.templates.numbers[hash]
		numbers[number] = uint32(i)
		t := s.texts[number]
		b = binary.AppendVarint(append(b, hash[:]...), t.used)
		b = binary.AppendUvarint(b, uint64(len(t.places)))
		for _, place := range t.places {
			b = binary.AppendUvarint(b, place)
		}
	}
	return numbers, b
}

func (d *decoder) templates(s *state) (hashes []queue.Hash) {
	hashes = make([]queue.Hash, d.count(len(queue.Hash{})+2))
	for i := range hashes {
		copy(hashes[i][:], d.take(len(queue.Hash{})))
		t := &text{used: d.varint(), places: make([]uint64, d.count(1))}
		if _, ok := s.templates.numbers[hashes[i]]; ok {
			d.fail("template %x comes twice", hashes[i][:])
			break
		}
		for i := range t.places {
			t.places[i] = d.uvarint()
			s.hold(sequenceOf(t.places[i]))
		}
		s.texts[s.templates.use(hashes[i])] = t
	}
	return hashes
}

// jobLeased is a flag beside the state of a job.
const jobLeased = 0x80

func (s *state) appendJobs(b []byte, flows, templates []uint32) []byte {
	b = binary.AppendUvarint(b, uint64(s.jobs.len()))
	s.jobs.after(tracking.ID{}, func(job *record) bool {
		b = binary.AppendUvarint(append(b, job.id[:]...), job.place)
		b = binary.AppendVarint(b, job.due)
		b = binary.AppendUvarint(b, uint64(flows[job.flow]))
		b = binary.AppendUvarint(b, uint64(templates[job.template]))
		b = binary.LittleEndian.AppendUint32(b, job.address)
		b = appendText(binary.AppendUvarint(b, uint64(job.attempts)), job.last)
		token, until, ok := s.schedule.LeaseOf(job.id)
		if !ok {
			b = append(b, byte(job.state))
			return true
		}
		b = binary.AppendUvarint(append(b, byte(job.state)|jobLeased), token)
		b = binary.AppendVarint(b, schedule.Millis(until))
		return true
	})
	return b
}

const jobSize = 16 + 5 + 4 + 2 // at least

func (d *decoder) jobs(s *state, flows []queue.Flow, templates []queue.Hash) {
	var last tracking.ID
	for range d.count(jobSize) {
		job := record{id: d.id(), place: d.uvarint(), due: d.varint()}
		flow, template := d.natural(1<<30), d.natural(1<<30)
		if address := d.take(4); address != nil {
			job.address = binary.LittleEndian.Uint32(address)
		}
		job.attempts, job.last = uint16(d.natural(maxAttempts)), d.text()
		flags := d.byte()
		job.state = queue.State(flags &^ jobLeased)
		var token uint64
		var until int64
		if flags&jobLeased != 0 {
			token, until = d.uvarint(), d.varint()
		}
		if d.err == nil && (compare(job.id, last) <= 0 || flow >= len(flows) || template >= len(templates) || job.state > queue.Cancelled) {
			d.fail("job %v after %v, of flow %d of %d, template %d of %d, %v", job.id, last, flow, len(flows), template, len(templates), job.state)
		}
		if d.err != nil {
			return
		}
		last = job.id
		job.flow, job.template = s.flows.use(flows[flow]), s.templates.use(templates[template])
		s.restore(job, flows[flow], flags&jobLeased != 0, token, schedule.Time(until))
	}
}

// restore takes in a job as it was.
func (s *state) restore(job record, flow queue.Flow, leased bool, token uint64, until time.Time) {
	s.jobs.add(job)
	s.hold(sequenceOf(job.place))
	if job.state > queue.Held {
		s.schedule.End(job.state, 1)
	}
	switch {
	case leased:
		s.schedule.AddLeased(job.id, flow, schedule.Time(job.due), job.state, token, until)
	case job.state <= queue.Held:
		s.schedule.Add(job.id, flow, schedule.Time(job.due), job.state)
	}
}

func (s *state) appendKeys(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.keys)))
	for _, hash := range slices.SortedFunc(maps.Keys(s.keys), func(a, b keyHash) int { return bytes.Compare(a[:], b[:]) }) {
		k := s.keys[hash]
		b = append(append(append(b, hash[:]...), k.id[:]...), k.digest[:]...)
	}
	return b
}

func (d *decoder) keys(s *state) {
	for range d.count(3 * 16) {
		hash, id, digest := d.id(), d.id(), d.id()
		s.keys[keyHash(hash)] = keyed{id, digest}
	}
}

func compareSessions(a, b session) int { return bytes.Compare(a[:], b[:]) }

func (s *state) appendMembers(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.members)))
	for _, of := range slices.SortedFunc(maps.Keys(s.members), compareSessions) {
		m := s.members[of]
		b = binary.AppendVarint(append(b, of[:]...), m.seen)
		for _, n := range m.numbers {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

func (d *decoder) session() (of session) {
	copy(of[:], d.take(len(of)))
	return of
}

func (d *decoder) members(s *state) {
	for range d.count(len(session{}) + 1 + int(lines)) {
		of, m := d.session(), &member{seen: d.varint()}
		for i := range m.numbers {
			m.numbers[i] = d.uvarint()
		}
		s.members[of] = m
	}
}

func (s *state) appendStages(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.stages)))
	for _, of := range slices.SortedFunc(maps.Keys(s.stages), compareSessions) {
		batch := s.stages[of]
		b = binary.AppendUvarint(append(b, of[:]...), batch.call)
		b = binary.AppendUvarint(b, uint64(len(batch.pieces)))
		for _, p := range batch.pieces {
			b = binary.AppendUvarint(b, p.sequence)
			b = binary.AppendUvarint(b, uint64(p.index))
			b = binary.AppendUvarint(b, uint64(p.moment.ordinal))
			b = p.append(b)
		}
	}
	return b
}

func (d *decoder) stages(s *state) {
	for range d.count(len(session{}) + 2) {
		of, batch := d.session(), &stage{call: d.uvarint()}
		for range d.count(pieceLeast) {
			at := moment{session: of, sequence: d.uvarint(), index: d.natural(maxOrdinal), ordinal: d.natural(maxOrdinal)}
			if k := kind(d.byte()); k != kindPiece {
				d.fail("command of kind %d among pieces", k)
			}
			batch.pieces = append(batch.pieces, staged{d.piece().(*piece), at})
			s.hold(at.sequence)
		}
		s.stages[of] = batch
	}
}

func (s *state) appendEntries(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.entries)))
	for _, e := range s.sortedEntries() {
		b = appendSuppression(b, &e)
	}
	return b
}

func (d *decoder) entries(s *state) {
	for range d.count(suppressionSize) {
		e := d.suppression()
		key := entryOf(e.Address, e.Stream)
		e.Address = key.address
		s.entries[key] = e
	}
}

func (s *state) appendSent(b []byte) []byte {
	windows := slices.SortedFunc(maps.Keys(s.sent), func(a, b window) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.span, b.span))
	})
	b = binary.AppendUvarint(b, uint64(len(windows)))
	for _, w := range windows {
		slots := s.sent[w]
		b = appendWindow(b, queue.Window{Name: w.name, Span: w.span})
		b = binary.AppendUvarint(b, uint64(len(slots)))
		for _, slot := range slices.Sorted(maps.Keys(slots)) {
			b = binary.AppendVarint(binary.AppendVarint(b, slot), int64(slots[slot]))
		}
	}
	return b
}

func (d *decoder) sent(s *state) {
	for range d.count(4) {
		w, slots := d.window(), map[int64]int{}
		for range d.count(2) {
			slot := d.varint()
			slots[slot] = int(d.varint())
		}
		s.sent[window{w.Name, w.Span}] = slots
	}
}

// begin has the session that gives it write a snapshot, unless another is at it, and
// forgets what is no longer kept. Its result is a draft, or nil if another is at it.
type begin struct {
	until  int64 // how many milliseconds later another may begin one
	before int64 // of which time what is finished is forgotten
}

func (c *begin) append(b []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(append(b, byte(kindBegin)), c.until), c.before)
}

// draft is a snapshot to be written.
type draft struct {
	sequence uint64
	content  []byte
	first    uint64   // message of puts that is in use; the next one, if none is
	freed    []uint64 // messages of puts that are in use no more
}

func (c *begin) apply(s *state, m moment) any {
	p := &s.snapshot
	if p.writing != 0 && m.time < p.until {
		return (*draft)(nil)
	}
	s.sweep(c.before, m.time)
	p.writing, p.until, p.before = m.sequence, m.time+c.until, p.bytes
	if !m.own {
		return (*draft)(nil)
	}
	first := m.sequence + 1
	for sequence := range s.live {
		first = min(first, sequence)
	}
	return &draft{m.sequence, s.appendState(nil), first, slices.Clone(s.freed)}
}

// snapshot says where a snapshot lies.
type snapshot struct {
	sequence uint64 // up to which it goes, and its name
	chunks   uint64
	size     uint64
	sum      uint32 // CRC-32C
}

func (d *decoder) snapshot() snapshot {
	n := snapshot{sequence: d.uvarint(), chunks: d.uvarint(), size: d.uvarint()}
	if sum := d.take(4); sum != nil {
		n.sum = binary.LittleEndian.Uint32(sum)
	}
	return n
}

// finish says that a snapshot is complete. Its result is whether it still counts.
type finish struct{ snapshot }

func (c *finish) append(b []byte) []byte {
	b = append(b, byte(kindFinish))
	for _, n := range []uint64{c.sequence, c.chunks, c.size} {
		b = binary.AppendUvarint(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, c.sum)
}

func (c *finish) apply(s *state, _ moment) any {
	p := &s.snapshot
	if p.writing != c.sequence {
		return false
	}
	*p = progress{covered: c.sequence, size: c.size, bytes: p.bytes - p.before}
	return true
}
