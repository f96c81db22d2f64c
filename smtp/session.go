package smtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// session is a connection that is ready for transactions. Three parties work on it:
// callers of Send queue transactions; a goroutine that lives as long as there is
// something to write writes what they append to out; another reads replies, also
// while nothing is expected, so that a connection that the server closes is known to
// be dead at once.
//
// Because replies are read while commands are written, neither side can wait for
// the other (RFC 2920, section 3.1).
type session struct {
	target    *target
	pool      *pool
	host      *poolHost
	conn      net.Conn
	replies   *replyReader
	info      ServerInfo
	abilities abilities
	// How outcomes describe the session: on its first transaction, and later.
	first, again *Session

	// spent: no transaction may begin any more.
	spent atomic.Bool
	// ended is closed when the pool has forgotten the session.
	ended   chan struct{}
	writers sync.WaitGroup // at most one
	writer  func()         // write, made once

	// What follows belongs to the pool and is guarded by its lock.
	load      int
	exclusive bool
	served    int
	most      int // messages that it may carry for the sake of one that it has; 0 is none

	mu      sync.Mutex // guards what follows
	err     error      // why the session ends
	writing bool       // a goroutine writes
	out     []byte     // not yet taken by it
	spare   []byte     // memory for the next out
	handed  int64      // octets given to the connection, as far as is known
	sent    int64      // octets that the connection has taken
	begun   int        // transactions

	expected  expectations
	queue     []*transaction // not begun
	flight    []*transaction // begun and not done, in order
	current   *transaction   // the last of flight while it has more to send
	dirty     bool           // the server may hold an open transaction
	proven    bool           // the server has taken a message by BDAT
	lastWords Reply          // 421
	lastHeard time.Time      // when the reader last had nothing to read
	freed     int            // transactions done that the pool does not know of
	clean     int            // of these, accepted

	parked   bool      // the reader waits for the server
	due      bool      // deadline is that of a reply
	deadline time.Time // of the reader
}

const (
	// maxOut is how much may wait to be written before more is appended.
	maxOut = 64 << 10
	// maxPipelined bounds the commands without a reply.
	maxPipelined = 256
	// freshness is how long ago the server must have spoken for a message to go in
	// one flight with its envelope.
	freshness = 2 * time.Second
)

func newSession(g *greeter) *session {
	first, again := g.info.Session, g.info.Session
	again.Reused = true
	s := &session{
		target:    g.target,
		conn:      g.conn,
		replies:   g.replies,
		info:      g.info,
		abilities: abilitiesOf(g.info.Extensions),
		first:     &first,
		again:     &again,
		ended:     make(chan struct{}),
		lastHeard: time.Now(),
	}
	s.writer = s.write
	return s
}

// run works for its pool until the connection ends.
func (s *session) run() {
	s.chat()
	s.pool.remove(s)
	close(s.ended)
}

// chat works until the connection ends.
func (s *session) chat() {
	err := s.listen()
	s.fail(err)
	s.writers.Wait()
	s.settle()
}

// chunked reports whether messages go by BDAT. LMTP has no clear rule for the
// replies to a chunk that no recipient was accepted for, so there it is DATA.
func (s *session) chunked() bool {
	return s.abilities.chunking && s.target.lmtp == speakSMTP
}

// submit queues a transaction. An error means that nothing of it was sent.
func (s *session) submit(t *transaction) error {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil || s.lastWords.Code != 0 {
		return errStale
	}
	s.queue = append(s.queue, t)
	s.advance()
	return nil
}

// errStale says that a session ended before a transaction began.
var errStale = errors.New("connection closed by the server while idle")

// fail ends the session. The first reason counts.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *session) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	s.spent.Store(true)
	_ = bare(s.conn).Close()
}

// bare is the connection below TLS. A session that failed says no goodbye: that of
// TLS would wait for a peer that may not read.
func bare(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// quit ends an idle session with good manners.
func (s *session) quit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quitLocked()
}

func (s *session) quitLocked() {
	s.spent.Store(true)
	if s.err != nil {
		return
	}
	s.append(nil, expectQuit, "QUIT\r\n")
	s.deadline = time.Now().Add(s.target.timeouts.Quit)
	s.due = true
	_ = s.conn.SetReadDeadline(s.deadline)
	s.flush()
}

// flush has out written. The session's lock is held.
func (s *session) flush() {
	if s.writing || len(s.out) == 0 || s.err != nil {
		return
	}
	s.writing = true
	s.writers.Add(1)
	go s.writer()
}

// write hands out to the connection, as much as there is at a time.
func (s *session) write() {
	defer s.writers.Done()
	// A burst of answers may have woken several callers: let them all append, so
	// that what they send leaves in one write.
	runtime.Gosched()
	for batch := s.take(); batch != nil; batch = s.take() {
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.target.timeouts.Block))
		n, err := s.conn.Write(batch)
		s.wrote(batch, n, err)
	}
}

// take gives the next batch to write, or nil when there is none.
func (s *session) take() []byte {
	s.mu.Lock()
	defer s.unlock()
	if len(s.out) == 0 || s.err != nil {
		s.writing = false
		return nil
	}
	batch := s.out
	s.out, s.spare = s.spare[:0], nil
	s.handed += int64(len(batch))
	s.advance()
	if t := s.current; t != nil {
		t.signal() // there is room for more of its body
	}
	return batch
}

// wrote notes how much of a batch the connection took.
func (s *session) wrote(batch []byte, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += int64(n)
	s.handed -= int64(len(batch) - n)
	if cap(batch) <= 2*maxOut {
		s.spare = batch
	}
	if err == nil {
		if s.parked && !s.due {
			s.schedule()
		}
		return
	}
	if s.err == nil {
		s.err = err
	}
	// The server may have said why before it hung up: listen a little longer.
	s.spent.Store(true)
	s.due = true
	s.deadline = time.Now().Add(min(s.target.timeouts.Quit, s.target.timeouts.Block))
	_ = s.conn.SetReadDeadline(s.deadline)
}

// listen reads replies until the connection ends, and says why it did.
func (s *session) listen() error {
	for {
		if s.replies.Buffered() == 0 {
			s.park()
		}
		raw, err := s.replies.next()
		if err == nil {
			err = s.hear(raw)
		} else if errors.Is(err, os.ErrDeadlineExceeded) && s.overslept() {
			continue
		}
		if err != nil {
			return err
		}
	}
}

// hear takes one reply and sends what it allows.
func (s *session) hear(raw rawReply) error {
	s.mu.Lock()
	defer s.unlock()
	s.parked, s.due = false, false
	if err := s.interpret(raw); err != nil {
		return err
	}
	s.advance()
	return nil
}

// unlock tells the pool which transactions are done and unlocks mu. In this order,
// whoever has an outcome finds the session free.
func (s *session) unlock() {
	if s.freed > 0 && s.pool.free(s, s.freed, s.clean) {
		s.quitLocked()
	}
	s.freed, s.clean = 0, 0
	s.mu.Unlock()
}

// park sets the deadline for the next reply.
func (s *session) park() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked, s.lastHeard = true, time.Now()
	if s.err == nil {
		s.schedule()
	}
}

// schedule sets the reader's deadline: that of the reply that is due, or the one
// for being idle.
func (s *session) schedule() {
	s.due, s.deadline = false, time.Time{}
	e := s.expected.first()
	switch {
	case e != nil && e.end <= s.sent:
		s.due = true
		s.deadline = time.Now().Add(s.patience(e.kind))
	case e == nil && len(s.flight)+len(s.queue) == 0:
		s.deadline = s.pool.leaveAt(s)
	}
	_ = s.conn.SetReadDeadline(s.deadline)
}

func (s *session) patience(kind expectation) time.Duration {
	t := &s.target.timeouts
	switch {
	case s.lastWords.Code != 0, kind == expectQuit:
		return t.Quit
	case kind == expectData:
		return t.Data
	case kind == expectChunk:
		return t.Block
	case kind == expectFinal:
		return t.EndOfData
	}
	return t.Command
}

// overslept reports whether a deadline that passed was not that of a reply. A
// session that was idle too long quits.
func (s *session) overslept() bool {
	s.mu.Lock()
	due, ended := s.due, s.err != nil
	late := !s.deadline.IsZero() && !time.Now().Before(s.deadline)
	s.mu.Unlock()
	if due && late || ended {
		return false
	}
	if late && s.pool.retire(s) {
		s.quit()
	}
	return true
}

// settle ends the transactions that the session broke under.
func (s *session) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range append(s.flight, s.queue...) {
		t.committed = t.end > 0 && t.end <= s.handed && t.possible()
		t.failed = &Error{Phase: s.phase(t), Host: s.target.host, Reply: s.lastWords, Err: s.err}
		if errors.Is(s.err, io.EOF) {
			t.failed.Err = errHungUp
		}
		if t.committed {
			t.failed.Class = ErrIndeterminate
		}
		t.done = true
		t.signal()
	}
	s.flight, s.queue, s.current = nil, nil, nil
}

// errHungUp stands for io.EOF, which would say too little.
var errHungUp = fmt.Errorf("server closed the connection: %w", io.ErrUnexpectedEOF)

// phase is where a transaction stands: at its first reply that has not come.
func (s *session) phase(t *transaction) Phase {
	for e := range s.expected.all() {
		if e.t == t {
			return e.kind.phase()
		}
	}
	switch {
	case t.next == 0:
		return PhaseMail
	case t.next <= len(t.rcpts):
		return PhaseRcpt
	}
	return PhaseData
}
