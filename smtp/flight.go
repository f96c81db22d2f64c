package smtp

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
)

// expectation is the kind of a reply that has not come.
type expectation uint8

const (
	expectReset expectation = iota
	expectMail
	expectRcpt
	expectData
	expectChunk
	expectFinal
	expectQuit
)

var expectationPhases = [...]Phase{PhaseMail, PhaseMail, PhaseRcpt, PhaseData, PhaseData, PhaseEndOfData, PhaseEndOfData}

func (e expectation) phase() Phase { return expectationPhases[e] }

// expected is one reply that has not come.
type expected struct {
	t    *transaction // nil for QUIT
	kind expectation
	i    int32 // the recipient, of RCPT and of the final replies of LMTP
	end  int64 // where in the output the command ends
	at   time.Time
}

// expectations is a first-in first-out list.
type expectations struct {
	list []expected
	head int
}

func (q *expectations) len() int { return len(q.list) - q.head }

func (q *expectations) first() *expected {
	if q.len() == 0 {
		return nil
	}
	return &q.list[q.head]
}

func (q *expectations) push(e expected) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}

func (q *expectations) pop() (expected, bool) {
	if q.len() == 0 {
		return expected{}, false
	}
	e := q.list[q.head]
	q.list[q.head] = expected{}
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return e, true
}

// remove drops what is expected for t.
func (q *expectations) remove(t *transaction) {
	q.list = append(q.list[:q.head], slices.DeleteFunc(q.list[q.head:], func(e expected) bool { return e.t == t })...)
}

func (q *expectations) all() iter.Seq[*expected] {
	return func(yield func(*expected) bool) {
		for i := q.head; i < len(q.list); i++ {
			if !yield(&q.list[i]) {
				return
			}
		}
	}
}

// advance appends to out what may be sent now. The session's lock is held here and
// in all that follows.
func (s *session) advance() {
	if s.lastWords.Code != 0 && s.err == nil {
		if s.expected.len() == 0 {
			s.failLocked(errHungUp)
		}
		return
	}
	for s.err == nil && len(s.out) < maxOut {
		if s.current == nil && !s.begin() {
			break
		}
		t := s.current
		if !s.push(t) {
			break
		}
		s.current, t.sentAll = nil, true
		if t.pending == 0 {
			s.finish(t)
		}
	}
	s.flush()
}

// begin starts the next transaction, if it may start. One that rides behind a
// message by BDAT resets what that one may leave behind: were it refused, its
// recipients might otherwise get this message.
func (s *session) begin() bool {
	riding := len(s.flight) > 0
	if len(s.queue) == 0 || riding && !s.abilities.pipelining {
		return false
	}
	t := s.queue[0]
	if riding && t.letter.stream {
		return false
	}
	s.queue = slices.Delete(s.queue, 0, 1)
	t.first, t.start = s.begun == 0, s.handed+int64(len(s.out))
	s.begun++
	s.flight = append(s.flight, t)
	s.current = t
	if s.dirty || riding && s.chunked() {
		s.append(t, expectReset, "RSET\r\n")
		s.dirty = false
	}
	return true
}

// append adds a command of t to the output and expects its reply.
func (s *session) append(t *transaction, kind expectation, line string) {
	s.out = append(s.out, line...)
	s.expect(t, kind, 0)
	if t != nil && t.trace != nil {
		t.traceCommand([]byte(line))
	}
}

func (s *session) expect(t *transaction, kind expectation, i int) {
	e := expected{t: t, kind: kind, i: int32(i), end: s.handed + int64(len(s.out))}
	if t != nil {
		t.pending++
		if t.trace != nil {
			e.at = time.Now()
		}
	}
	s.expected.push(e)
}

// mayPipe reports whether another command may be sent before the replies to those
// that were (RFC 2920).
func (s *session) mayPipe() bool {
	n := s.expected.len()
	return n == 0 || s.abilities.pipelining && n < maxPipelined && len(s.out) < maxOut
}

// push sends what t may send now, and reports whether that was the last of it.
func (s *session) push(t *transaction) (all bool) {
	if t.abandoned {
		return s.pushAbandoned(t)
	}
	for t.next <= len(t.rcpts) {
		if t.mail.Code != 0 {
			return true
		}
		if !s.mayPipe() {
			return false
		}
		s.pushCommand(t)
	}
	if s.chunked() {
		return s.pushChunk(t)
	}
	return s.pushData(t)
}

// pushAbandoned ends a transaction whose caller has gone. After DATA was granted
// there is no way out but to hang up, which waits until it harms nobody.
func (s *session) pushAbandoned(t *transaction) (all bool) {
	if t.data == dataNotSent || t.data == dataRefused {
		return true
	}
	if t.data == dataReady && len(s.flight) == 1 {
		s.failLocked(errAbandoned)
	}
	return false
}

var errAbandoned = fmt.Errorf("hung up before the message: its sender has gone")

func (s *session) pushCommand(t *transaction) {
	start := len(s.out)
	if t.next == 0 {
		s.out = t.appendMail(s.out, &s.abilities)
		s.expect(t, expectMail, 0)
	} else {
		s.out = t.appendRcpt(s.out, &s.abilities, t.next-1)
		s.expect(t, expectRcpt, t.next-1)
	}
	t.next++
	if t.trace != nil {
		t.traceCommand(s.out[start:])
	}
}

// pushChunk sends the message by BDAT (RFC 3030): in one flight with the envelope
// where the server has shown that it can and is surely there, or else when a
// recipient was accepted.
func (s *session) pushChunk(t *transaction) (all bool) {
	oneFlight := s.proven && s.abilities.pipelining && !t.letter.stream && time.Since(s.lastHeard) < freshness
	if !oneFlight {
		switch {
		case t.pending > 0:
			return false
		case t.accepted == 0:
			return true
		}
	}
	if t.letter.stream {
		return s.callForBody(t)
	}
	s.appendChunk(t, expectFinal, t.letter.prefix, t.letter.body)
	return true
}

// appendChunk appends one BDAT command with its octets.
func (s *session) appendChunk(t *transaction, kind expectation, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	start := len(s.out)
	s.out = strconv.AppendInt(append(s.out, "BDAT "...), int64(size), 10)
	if kind == expectFinal {
		s.out = append(s.out, " LAST"...)
	}
	s.out = append(s.out, "\r\n"...)
	if t.trace != nil {
		t.traceCommand(s.out[start:])
	}
	for _, part := range parts {
		s.out = append(s.out, part...)
	}
	s.expect(t, kind, 0)
	if kind == expectFinal {
		t.end = s.handed + int64(len(s.out))
	}
}

// pushData sends the message by DATA (RFC 5321, section 4.1.1.4), which pipelining
// puts behind the last RCPT.
func (s *session) pushData(t *transaction) (all bool) {
	if t.data == dataNotSent {
		if !s.abilities.pipelining && t.accepted == 0 && t.pending == 0 {
			return true
		}
		if !s.mayPipe() {
			return false
		}
		s.append(t, expectData, "DATA\r\n")
		t.data = dataSent
	}
	switch {
	case t.data == dataRefused:
		return true
	case t.data == dataSent:
		return false
	case t.accepted == 0:
		// RFC 2920, section 3.1: nothing but the dot, which the server refuses.
		s.out = append(s.out, ".\r\n"...)
		s.expect(t, expectFinal, 0)
		return true
	case t.letter.stream:
		return s.callForBody(t)
	}
	s.out = t.letter.appendStuffed(s.out)
	s.endData(t)
	return true
}

// endData appends the dot, from which on the message may be accepted.
func (s *session) endData(t *transaction) {
	s.out = append(s.out, ".\r\n"...)
	t.end = s.handed + int64(len(s.out))
	if !s.target.lmtp {
		s.expect(t, expectFinal, 0)
		return
	}
	for i := range t.verdicts { // RFC 2033, section 4.2
		if t.verdicts[i].accepted {
			s.expect(t, expectFinal, i)
		}
	}
}

// callForBody wakes the caller, which pours the message from its own goroutine.
func (s *session) callForBody(t *transaction) (all bool) {
	if t.data != dataPoured {
		t.data = dataWanted
		t.signal()
	}
	return t.data == dataPoured
}

// interpret takes the next reply. An error ends the session.
func (s *session) interpret(raw rawReply) error {
	if raw.code == 421 && s.lastWords.Code == 0 {
		s.lastWords = raw.reply()
		s.spent.Store(true)
	}
	e := s.expected.first()
	if e == nil || e.end > s.handed {
		return s.unasked(raw)
	}
	told, _ := s.expected.pop()
	if told.kind == expectQuit {
		return ErrClosed
	}
	t := told.t
	t.pending--
	if t.trace != nil {
		t.traceReply(told.kind.phase(), raw, told.at)
	}
	if !told.kind.allows(raw.code) {
		return fmt.Errorf("%w: %d in answer to %s", errProtocol, raw.code, told.kind.phase())
	}
	if err := s.judge(t, told, raw); err != nil {
		return err
	}
	if t.sentAll && t.pending == 0 {
		s.finish(t)
	}
	return nil
}

// unasked takes a reply that answers nothing.
func (s *session) unasked(raw rawReply) error {
	if raw.code != 421 {
		s.lastWords = raw.reply()
		return fmt.Errorf("%w: reply to nothing", errProtocol)
	}
	return errHungUp
}

// allows reports whether a code can answer this kind of command.
func (e expectation) allows(code int) bool {
	if e == expectData && code/100 == 2 || e != expectData && code/100 == 3 {
		return false
	}
	return true
}

func (s *session) judge(t *transaction, e expected, raw rawReply) error {
	switch e.kind {
	case expectReset:
		if !raw.positive() {
			return fmt.Errorf("%w: RSET answered with %d", errProtocol, raw.code)
		}
	case expectMail:
		if !raw.positive() {
			t.mail = raw.reply()
		}
	case expectRcpt:
		v := &t.verdicts[e.i]
		if v.accepted = raw.positive() && t.mail.Code == 0; v.accepted {
			t.accepted++
		} else {
			v.reply = raw.reply()
		}
	case expectData:
		if t.data = dataReady; raw.code != 354 {
			t.data, t.noData = dataRefused, raw.reply()
		}
	case expectChunk:
		if !raw.positive() && t.noData.Code == 0 {
			t.noData = raw.reply()
			t.signal()
		}
	case expectFinal:
		return s.judgeMessage(t, e, raw)
	}
	return nil
}

// judgeMessage takes the final reply, which is for one recipient in LMTP and for
// all that were accepted otherwise.
func (s *session) judgeMessage(t *transaction, e expected, raw rawReply) error {
	if raw.positive() && t.accepted == 0 && s.chunked() {
		t.verdicts[0].accepted = true // so that it counts as possible
		return fmt.Errorf("%w: message accepted for no recipient", errProtocol)
	}
	reply := raw.reply()
	for i := range t.verdicts {
		v := &t.verdicts[i]
		if v.accepted && (s.target.lmtp == speakSMTP || i == int(e.i)) {
			v.reply = reply
		}
	}
	if raw.positive() {
		t.taken = true
		s.proven = s.chunked()
	} else if s.chunked() {
		s.dirty = true // RFC 3030, section 4.2
	}
	return nil
}

// finish ends a transaction whose replies have all come.
func (s *session) finish(t *transaction) {
	i := slices.Index(s.flight, t)
	s.flight = slices.Delete(s.flight, i, i+1)
	if t.end == 0 && t.mail.Code == 0 {
		s.dirty = true
	}
	if t.taken {
		s.clean++
	}
	s.freed++
	t.done = true
	t.signal()
}
