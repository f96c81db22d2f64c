package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// conn stands between the network and go-smtp. It hands go-smtp one command at a
// time and takes its reply before it hands over the next, so that it knows which
// command a reply answers; there it edits EHLO, answers as the script says,
// speaks TLS and keeps the transcript. Replies to a group of commands leave
// together, as RFC 2920, section 3.2 asks.
//
// Only Close is called from other goroutines.
type conn struct {
	net.Conn // as accepted
	server   *Server
	id       int
	closed   chan struct{}
	close    sync.Once

	stream net.Conn // Conn or TLS over it
	tls    *tls.Conn
	state  *tls.ConnectionState // of tls, once asked for
	r      *bufio.Reader
	w      *bufio.Writer

	command   Command // being answered; "" before the first
	input     inputState
	entering  bool    // the message's first octets come next
	chunk     int64   // octets of a BDAT chunk still to come
	body      int64   // octets of the message so far
	lineStart bool    // in a body: the last line ended in CRLF
	pending   []byte  // input that go-smtp has yet to read
	reply     []byte  // output that is not a whole reply yet
	next      *answer // scripted answer to the command
	from      string  // reverse-path
	user      string  // authenticated identity
}

// inputState is what the next input octets are.
type inputState uint8

const (
	inCommand  inputState = iota
	inExchange            // a line of an AUTH exchange
	inBody                // message after DATA, up to the dot
	inChunk               // message after BDAT
)

// noise is no reply, in any reading of RFC 5321, section 4.2.
const noise = "\x00\x01\xfe\xffgarbage\r\n"

func newConn(s *Server, accepted net.Conn, id int) *conn {
	c := &conn{Conn: accepted, server: s, id: id, closed: make(chan struct{})}
	if s.opts.TLS == ImplicitTLS {
		c.tls = tls.Server(accepted, s.opts.TLSConfig)
		c.setStream(c.tls)
	} else {
		c.setStream(accepted)
	}
	c.command, c.next = Connect, s.match(Connect, "")
	return c
}

func (c *conn) setStream(stream net.Conn) {
	c.stream = stream
	c.r = bufio.NewReaderSize(flushBeforeRead{c}, maxCommand)
	c.w = bufio.NewWriter(stream)
}

// flushBeforeRead sends the replies that wait before it waits for input.
type flushBeforeRead struct{ *conn }

func (f flushBeforeRead) Read(p []byte) (int, error) {
	if err := f.w.Flush(); err != nil {
		return 0, err
	}
	return f.stream.Read(p)
}

func (c *conn) Close() error {
	var err error
	c.close.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
		c.server.forget(c)
	})
	return err
}

// Read gives go-smtp the rest of the current command or piece of message, or
// else the next one. Any failure ends the connection.
func (c *conn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		n, err := c.fill(p)
		if err != nil {
			c.logError(err)
			_ = c.hangUp()
			return 0, c.ended()
		}
		if n > 0 {
			return n, nil
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// ended is what go-smtp is told when there is no more input. Within a chunk that is
// an error: it would take a chunk that is cut short for a whole one.
func (c *conn) ended() error {
	if c.input == inChunk && c.chunk > 0 {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// fill reads into p or into c.pending.
func (c *conn) fill(p []byte) (int, error) {
	if c.entering {
		c.entering = false
		if err := c.enterBody(); err != nil {
			return 0, err
		}
	}
	switch c.input {
	case inChunk:
		if c.chunk > 0 {
			return c.readChunk(p)
		}
		c.input = inCommand
		return 0, nil
	case inBody:
		return 0, c.readBodyLine()
	case inExchange:
		return 0, c.readExchange()
	}
	return 0, c.readCommand()
}

// enterBody leaves the message unread if the script says so.
func (c *conn) enterBody() error {
	next := c.server.match(Body, c.from)
	if next == nil {
		return nil
	}
	if err := c.pause(next.Delay); err != nil {
		return err
	}
	if next.Do == Hang {
		return c.hang()
	}
	return c.drop()
}

func (c *conn) readChunk(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(int64(len(p)), c.chunk)])
	c.chunk -= int64(n)
	return n, err
}

// readBodyLine hands over one line of a message, or a piece of a long one, and
// stops behind the dot.
func (c *conn) readBodyLine() error {
	line, err := c.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	c.pending = line
	c.body += int64(len(line))
	if c.lineStart && string(line) == ".\r\n" {
		c.log("C: (message of %d octets)", c.body-3)
		c.input, c.command = inCommand, End
	}
	c.lineStart = bytes.HasSuffix(line, []byte("\r\n"))
	return nil
}

func (c *conn) readExchange() error {
	line, err := c.readLine()
	c.log("C: (response)")
	c.pending, c.input = line, inCommand
	return err
}

// maxCommand bounds a command line; go-smtp refuses shorter ones already.
const maxCommand = 4096

// readLine reads one line with its ending. It is valid until the next read.
func (c *conn) readLine() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = errors.Join(err, c.send([]byte("500 5.5.6 Line too long\r\n")))
	}
	return line, err
}

// readCommand reads one command and answers it, or leaves it to go-smtp.
func (c *conn) readCommand() error {
	line, err := c.readLine()
	if err != nil {
		return err
	}
	verb, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	verb = strings.ToUpper(verb)
	c.logCommand(verb, arg)
	if verb == "BDAT" {
		c.startChunk(arg)
	} else {
		c.command = commandOf(verb)
	}
	switch c.command {
	case Mail, Rcpt, End: // the session asks the script, with the parsed address
	default:
		c.next = c.server.match(c.command, c.from)
	}
	if reply := c.ownReply(arg); reply != "" || c.next.skips() {
		return c.answer([]byte(reply))
	}
	c.pending = line
	return nil
}

func (c *conn) logCommand(verb, arg string) {
	if verb == "AUTH" { // the mechanism alone
		arg, _, _ = strings.Cut(arg, " ")
	}
	c.log("C: %s", strings.TrimRight(verb+" "+arg, " "))
}

// startChunk prepares for the octets that follow BDAT, whatever becomes of it.
func (c *conn) startChunk(arg string) {
	size, last, _ := strings.Cut(arg, " ")
	n, _ := strconv.ParseUint(size, 10, 32)
	c.input, c.entering, c.chunk = inChunk, n > 0, int64(n)
	c.command = "BDAT"
	if strings.EqualFold(strings.TrimSpace(last), "LAST") {
		c.command = End
	}
}

func commandOf(verb string) Command {
	switch verb {
	case "HELO", "LHLO":
		return Hello
	}
	return Command(verb)
}

// ownReply answers what go-smtp is not told of: TLS, and AUTH where it must not
// be. It is empty for all else.
func (c *conn) ownReply(arg string) string {
	switch {
	case c.command == Auth && !c.authOffered():
		return "538 5.7.11 Encryption required for authentication\r\n"
	case c.command != StartTLS:
		return ""
	case c.server.opts.TLS != StartTLSOffered || c.tls != nil:
		return "502 5.5.1 STARTTLS is not offered\r\n"
	case arg != "":
		return "501 5.5.4 STARTTLS takes no parameter\r\n"
	}
	return "220 2.0.0 Ready to start TLS\r\n"
}

func (c *conn) authOffered() bool {
	return len(c.server.opts.Users) > 0 && (c.tls != nil || c.server.opts.PlaintextAuth)
}

// tlsState is shared by the messages of a connection. It is nil without TLS.
func (c *conn) tlsState() *tls.ConnectionState {
	if c.tls != nil && c.state == nil {
		state := c.tls.ConnectionState()
		c.state = &state
	}
	return c.state
}

// startTLS upgrades the connection after a positive reply. What the client sent
// too early is thrown away (RFC 3207, section 4.2).
func (c *conn) startTLS() error {
	c.tls = tls.Server(c.Conn, c.server.opts.TLSConfig)
	if err := c.tls.Handshake(); err != nil {
		c.log("TLS: %v", err)
		return err
	}
	c.log("TLS: %s", tls.VersionName(c.tls.ConnectionState().Version))
	c.setStream(c.tls)
	return nil
}

// Write takes a reply from go-smtp, which writes it line by line.
func (c *conn) Write(p []byte) (int, error) {
	c.reply = append(c.reply, p...)
	if !isWholeReply(c.reply) {
		return len(p), nil
	}
	reply := slices.Clone(c.reply)
	c.reply = c.reply[:0]
	return len(p), c.answer(reply)
}

// isWholeReply reports whether the last line is there and is the last one.
func isWholeReply(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return false
	}
	start := bytes.LastIndexByte(b[:len(b)-2], '\n') + 1
	return len(b)-start > 5 && b[start+3] == ' '
}

// answer gives the scripted answer, if there is one, or the ordinary one.
func (c *conn) answer(ordinary []byte) error {
	next := c.next
	c.next = nil
	c.expect(ordinary)
	ordinary = c.edit(ordinary)
	if next == nil {
		return c.send(ordinary)
	}
	if err := c.pause(next.Delay); err != nil {
		return err
	}
	switch next.Do {
	case Hang:
		return c.hang()
	case Drop:
		return c.drop()
	case Garble:
		return c.garble(next.Reply)
	}
	if next.wire != nil && (next.code >= 400 || !isRefusal(ordinary)) {
		ordinary = next.wire
	}
	return c.send(ordinary)
}

// expect prepares for what go-smtp wants to read after its reply.
func (c *conn) expect(reply []byte) {
	switch {
	case bytes.HasPrefix(reply, []byte("354")):
		c.input, c.entering, c.body, c.lineStart = inBody, true, 0, true
	case bytes.HasPrefix(reply, []byte("334")):
		c.input = inExchange
	}
}

func isRefusal(reply []byte) bool { return len(reply) > 0 && reply[0] >= '4' }

// send sends one reply and does what must follow it.
func (c *conn) send(reply []byte) error {
	if c.isClosed() {
		return net.ErrClosed
	}
	for line := range strings.Lines(string(reply)) {
		c.log("S: %s", strings.TrimRight(line, "\r\n"))
	}
	if _, err := c.w.Write(reply); err != nil {
		return err
	}
	switch code := string(reply[:3]); {
	case code == "500": // go-smtp may close the connection next
		return c.w.Flush()
	case code == "421", c.command == Connect && isRefusal(reply), c.command == Quit:
		return c.hangUp()
	case code == "220" && c.command == StartTLS:
		return errors.Join(c.w.Flush(), c.startTLS())
	}
	return nil
}

// hangUp closes the connection behind the last reply. It sends no TLS alert:
// over net.Pipe that would wait for a client that says goodbye at the same time.
func (c *conn) hangUp() error { return errors.Join(c.w.Flush(), c.Close()) }

// edit makes the reply to EHLO what the options say.
func (c *conn) edit(reply []byte) []byte {
	if c.command != Hello || !bytes.HasPrefix(reply, []byte("250-")) {
		return reply
	}
	lines := strings.Split(strings.TrimSuffix(string(reply), "\r\n"), "\r\n")
	for i := range lines {
		lines[i] = lines[i][len("250-"):]
	}
	first := c.server.opts.Hostname + " " + lines[0] // RFC 5321, section 4.1.1.1
	return replyLines("250", append([]string{first}, c.server.capabilities(lines[1:], c)...))
}

func (c *conn) pause(d time.Duration) error {
	if d == 0 {
		return nil
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *conn) hang() error {
	c.log("S: (hangs)")
	err := c.w.Flush()
	<-c.closed
	return errors.Join(err, net.ErrClosed)
}

func (c *conn) drop() error {
	c.log("S: (drops the connection)")
	return c.hangUp()
}

func (c *conn) garble(octets string) error {
	if octets == "" {
		octets = noise
	}
	c.log("S: %q", octets)
	_, err := io.WriteString(c.w, octets)
	return err
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *conn) logError(err error) {
	switch {
	case c.isClosed():
	case errors.Is(err, io.EOF):
		c.log("C: (closes the connection)")
	default:
		c.log("C: (%v)", err)
	}
}

func (c *conn) log(format string, args ...any) {
	c.server.transcript.add(c.id, fmt.Sprintf(format, args...))
}
