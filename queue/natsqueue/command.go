package natsqueue

import (
	"encoding/binary"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// format is the version of messages and snapshots: their first byte.
const format = 1

// session names a store that a process has opened.
type session [8]byte

// line is one of the sequences of messages that a session publishes, each after the
// one before it was stored. Each has its subject.
type line byte

const (
	puts line = iota
	changes
	snapshots
	lines
)

var subjects = [lines]string{"put", "change", "snapshot"}

// message is a message of the stream: commands that were given together.
type message struct {
	session session
	line    line
	// number counts the messages of a line, from 1. A message that comes again, or
	// after a later one, has no effect.
	number   uint64
	commands []command
}

// command is one change of the state. Whoever applies the same commands, in the
// order of the stream, to the same state gets the same state.
type command interface {
	// append writes the command's kind and fields.
	append(b []byte) []byte
	// apply changes the state, and returns what the caller gets: an error, or what
	// the caller expects.
	apply(s *state, m moment) any
}

// moment is what a command knows of its message.
type moment struct {
	session  session
	sequence uint64
	index    int   // of the command in the message
	ordinal  int   // of its first job in the message
	time     int64 // at which the stream stored it
	own      bool  // of this process, which wants the result
}

// kind is the first byte of a command.
type kind byte

const (
	kindPiece kind = iota + 1
	kindClaim
	kindSettle
	kindApply
	kindSuppress
	kindUnsuppress
	kindTake
	kindReturn
	kindBegin
	kindFinish
	kindHeartbeat
	kindLeave
	kindRecord
	kindRecorded
)

// appendHead writes what comes before the commands.
func (m *message) appendHead(b []byte) []byte {
	b = append(append(b, format), m.session[:]...)
	return binary.AppendUvarint(append(b, byte(m.line)), m.number)
}

// headSize is the most that appendHead writes.
const headSize = 1 + len(session{}) + 1 + binary.MaxVarintLen64

func (m *message) append(b []byte) []byte {
	b = m.appendHead(b)
	for _, c := range m.commands {
		b = c.append(b)
	}
	return b
}

func decodeMessage(data []byte) (*message, error) {
	d := &decoder{b: data}
	m := d.messageHead()
	for len(d.b) > 0 {
		m.commands = append(m.commands, d.command())
	}
	return m, d.err
}

// messageHead reads what comes before the commands.
func (d *decoder) messageHead() *message {
	m := &message{}
	if v := d.byte(); d.err == nil && v != format {
		d.fail("message of version %d", v)
	}
	copy(m.session[:], d.take(len(m.session)))
	m.line = line(d.natural(int(lines) - 1))
	m.number = d.uvarint()
	return m
}

func (d *decoder) command() command {
	switch k := kind(d.byte()); k {
	case kindPiece:
		return d.piece()
	case kindClaim:
		return d.claim()
	case kindSettle:
		return d.settle()
	case kindApply:
		return d.applyTo()
	case kindSuppress:
		return d.suppress()
	case kindUnsuppress:
		return &unsuppress{address: d.text(), stream: d.text()}
	case kindTake:
		return &take{window: d.window(), n: d.varint(), now: d.varint()}
	case kindReturn:
		return &giveBack{window: d.window(), n: d.varint(), granted: d.varint()}
	case kindBegin:
		return &begin{until: d.varint(), before: d.varint()}
	case kindFinish:
		return &finish{snapshot: d.snapshot()}
	case kindHeartbeat:
		return &heartbeat{worker: queue.Worker{ID: d.id(), View: d.uvarint()}, ttl: d.varint()}
	case kindLeave:
		return &leave{d.id()}
	case kindRecord:
		return &recordEvents{d.notes()}
	case kindRecorded:
		return d.recorded()
	default:
		d.fail("command of kind %d", k)
		return nil
	}
}

// claim leases jobs.
type claim struct {
	now, until int64
	flows      []queue.FlowClaim
}

func (c *claim) append(b []byte) []byte {
	b = binary.AppendVarint(append(b, byte(kindClaim)), c.now)
	b = binary.AppendVarint(b, c.until)
	b = binary.AppendUvarint(b, uint64(len(c.flows)))
	for _, f := range c.flows {
		b = binary.AppendVarint(appendFlow(b, f.Flow), int64(f.N))
	}
	return b
}

func (d *decoder) claim() command {
	c := &claim{now: d.varint(), until: d.varint()}
	c.flows = make([]queue.FlowClaim, d.count(5))
	for i := range c.flows {
		c.flows[i] = queue.FlowClaim{Flow: d.flow(), N: int(d.varint())}
	}
	return c
}

// leased is a job that a claim has leased, as far as the state knows it.
type leased struct {
	known
	token uint64
}

func (c *claim) apply(s *state, m moment) any {
	claimed, err := s.schedule.Claim(schedule.Time(c.now), schedule.Time(c.until), c.flows)
	if err != nil || !m.own {
		return err
	}
	out := make([]leased, len(claimed))
	for i, j := range claimed {
		out[i] = leased{s.known(s.jobs.find(j.ID)), j.Token}
	}
	return out
}

// settle ends or extends leases, and stores the events of the changes that it takes.
type settle struct{ changes []change }

// change is a change whose events are written down.
type change struct {
	queue.Change
	notes []note
}

// settled is the result of settle.
type settled struct {
	stale []tracking.ID
	place uint64 // of the events, which are
	notes []note
}

func (c *settle) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(kindSettle)), uint64(len(c.changes)))
	for i := range c.changes {
		b = c.changes[i].append(b)
	}
	return b
}

// Flags of a change.
const (
	changeExtends = 1 << iota
	changeCounts
)

func (c *change) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, c.ID[:]...), c.Token)
	if !c.Extend.IsZero() {
		b = binary.AppendVarint(append(b, changeExtends), schedule.Millis(c.Extend))
		return appendNotes(b, c.notes)
	}
	var flags byte
	if c.Counts {
		flags = changeCounts
	}
	b = binary.AppendVarint(append(b, flags, byte(c.State)), schedule.Millis(c.Due))
	return appendNotes(appendText(b, c.Last), c.notes)
}

const changeSize = len(tracking.ID{}) + 4 // at least

// size is the most that the change takes.
func (c *change) size() int {
	size := changeSize + 40 + len(c.Last)
	for _, n := range c.notes {
		size += len(n.data) + 10
	}
	return size
}

func (d *decoder) settle() command {
	c := &settle{make([]change, d.count(changeSize))}
	for i := range c.changes {
		d.change(&c.changes[i])
	}
	return c
}

func (d *decoder) change(c *change) {
	c.ID, c.Token = d.id(), d.uvarint()
	switch flags := d.byte(); flags {
	case changeExtends:
		if c.Extend = schedule.Time(d.varint()); c.Extend.IsZero() {
			d.fail("lease of job %v extended to no time", c.ID)
		}
	case 0, changeCounts:
		c.Counts = flags == changeCounts
		c.State, c.Due, c.Last = d.state(), schedule.Time(d.varint()), d.text()
	default:
		d.fail("change with flags %d", flags)
	}
	c.notes = d.notes()
}

func (c *settle) apply(s *state, m moment) any {
	out := settled{place: placeOf(m.sequence, m.index)}
	for i := range c.changes {
		change := &c.changes[i]
		if s.settle(&change.Change) {
			out.notes = append(out.notes, change.notes...)
			continue
		}
		out.stale = append(out.stale, change.ID)
	}
	if len(out.notes) > 0 {
		s.remember(out.place, out.notes, m.time)
	}
	return out
}

func (s *state) settle(c *queue.Change) bool {
	if !c.Extend.IsZero() {
		return s.schedule.Extend(c.ID, c.Token, c.Extend)
	}
	if !s.schedule.Begin(c.ID, c.Token) {
		return false
	}
	job := s.jobs.find(c.ID)
	if c.State == queue.Ready {
		job.due = schedule.Millis(c.Due)
	}
	job.state = s.schedule.Settle(c.ID, c.State, schedule.Time(job.due))
	if c.Counts && job.attempts < maxAttempts {
		job.attempts++
	}
	if c.Last != "" {
		job.last = c.Last
	}
	return true
}

// applyTo does what action says to the jobs that match. Its result is how many it
// changed. The filter names no address: those are looked up before.
type applyTo struct {
	filter queue.Filter
	action queue.Action
	now    int64
}

func (c *applyTo) append(b []byte) []byte {
	b = binary.AppendVarint(append(b, byte(kindApply), byte(c.action)), c.now)
	b = binary.AppendUvarint(b, uint64(len(c.filter.IDs)))
	for _, id := range c.filter.IDs {
		b = append(b, id[:]...)
	}
	b = appendText(appendText(appendText(b, c.filter.Lane), c.filter.Tenant), c.filter.Campaign)
	b = binary.AppendUvarint(b, uint64(len(c.filter.States)))
	for _, s := range c.filter.States {
		b = append(b, byte(s))
	}
	return b
}

func (d *decoder) applyTo() command {
	c := &applyTo{action: queue.Action(d.byte()), now: d.varint()}
	if err := schedule.CheckAction(c.action); err != nil {
		d.fail("%v", err)
	}
	for range d.count(len(tracking.ID{})) {
		c.filter.IDs = append(c.filter.IDs, d.id())
	}
	c.filter.Lane, c.filter.Tenant, c.filter.Campaign = d.text(), d.text(), d.text()
	for range d.count(1) {
		c.filter.States = append(c.filter.States, queue.State(d.byte()))
	}
	return c
}

func (c *applyTo) apply(s *state, m moment) any {
	s.schedule.Stand(c.filter, c.action)
	var n int
	s.jobs.each(c.filter.IDs, func(job *record) bool {
		if s.matches(&c.filter, job) && s.act(job, c.action, c.now) {
			n++
			if job.state == queue.Ready && !m.own {
				s.woken(job)
			}
		}
		return true
	})
	return n
}

// act does what action says to a job, and reports whether it changed it.
func (s *state) act(job *record, action queue.Action, now int64) bool {
	to, ok := schedule.Next(job.state, action)
	leased := s.schedule.Leased(job.id)
	if !ok || to == job.state && leased {
		return false
	}
	var due time.Time
	if action == queue.Retry && !leased {
		due = schedule.Time(now)
		job.due = now
	}
	s.schedule.Apply(job.id, s.flows.keys[job.flow], job.state, to, due)
	job.state = to
	return true
}
