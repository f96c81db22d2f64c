package smtp

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// transaction is one exchange from MAIL to the end of the message, for some of
// the recipients of a letter. Its session changes it under its lock until done;
// then the caller of Send reads it.
type transaction struct {
	letter *letter // nil once the caller has gone
	rcpts  []int   // indexes into letter.to
	trace  *Trace
	wake   chan struct{} // capacity 1: something below has changed

	next     int       // the command to send: 0 is MAIL, i+1 is RCPT of rcpts[i]
	pending  int       // replies that have not come
	mail     Reply     // the refusal of MAIL
	verdicts []verdict // one for each of rcpts
	accepted int       // recipients that were
	first    bool      // no transaction came before it on its session

	data      dataState
	noData    Reply // the refusal of DATA, or of a chunk that was not the last
	start     int64 // where in the session's output the transaction starts
	end       int64 // where in the session's output the message ends; 0: not yet put there
	sentAll   bool  // nothing is left to send
	abandoned bool  // the caller of Send has gone
	taken     bool  // accepted for a recipient

	done   bool
	failed *Error // the session broke
	// committed: the session broke after the message had been handed over.
	committed bool
	events    []traceEvent
}

// verdict is what was said of one recipient: a refusal of RCPT, or that it was
// accepted and then the final reply.
type verdict struct {
	accepted bool
	reply    Reply
}

type dataState uint8

const (
	dataNotSent dataState = iota
	dataSent              // DATA awaits its reply
	dataReady             // the body may go
	dataWanted            // the caller was asked to pour the body
	dataPoured            // and has done so
	dataRefused
)

// possible reports whether the server can have taken the message for anyone, as
// far as it has answered.
func (t *transaction) possible() bool {
	if t.mail.Code != 0 {
		return false
	}
	for i := range t.verdicts {
		if t.verdicts[i].accepted || t.verdicts[i].reply.Code == 0 {
			return true
		}
	}
	return false
}

// appendMail appends MAIL (RFC 5321, section 4.1.1.2) with the parameters that the
// letter needs.
func (t *transaction) appendMail(dst []byte, a *abilities) []byte {
	m := t.letter.message
	dst = t.letter.from.append(append(dst, "MAIL FROM:"...))
	if a.sized {
		dst = strconv.AppendInt(append(dst, " SIZE="...), t.letter.size(), 10)
	}
	if t.letter.facts.eightBit || t.letter.facts.utf8 && a.eightBit {
		dst = append(dst, " BODY=8BITMIME"...)
	}
	if a.utf8 && t.letter.utf8(t.rcpts) {
		dst = append(dst, " SMTPUTF8"...)
	}
	if m.TLS == TLSRequire {
		dst = append(dst, " REQUIRETLS"...)
	}
	if a.dsn && m.Return != "" {
		dst = append(append(dst, " RET="...), m.Return...)
	}
	if a.dsn && m.EnvelopeID != "" {
		dst = append(append(dst, " ENVID="...), xtext(m.EnvelopeID)...)
	}
	return append(dst, "\r\n"...)
}

// appendRcpt appends RCPT (RFC 5321, section 4.1.1.3) for the i-th of t's recipients.
func (t *transaction) appendRcpt(dst []byte, a *abilities, i int) []byte {
	r := &t.letter.message.To[t.rcpts[i]]
	dst = t.letter.to[t.rcpts[i]].append(append(dst, "RCPT TO:"...))
	if a.dsn && r.Notify != 0 {
		dst = r.Notify.append(append(dst, " NOTIFY="...))
	}
	if a.dsn && r.ORCPT != "" {
		dst = appendORCPT(dst, a, r.ORCPT)
	}
	return append(dst, "\r\n"...)
}

// appendORCPT appends the original recipient (RFC 3461, section 4.2). One that is
// not ASCII takes the form of RFC 6533, section 3.
func appendORCPT(dst []byte, a *abilities, addr string) []byte {
	if isASCII(addr) {
		return append(append(dst, " ORCPT=rfc822;"...), xtext(addr)...)
	}
	if !a.utf8 {
		return dst
	}
	dst = append(dst, " ORCPT=utf-8;"...)
	for _, r := range addr {
		if r <= ' ' || r > '~' || r == '+' || r == '=' || r == '\\' {
			dst = fmt.Appendf(dst, `\x{%X}`, r)
		} else {
			dst = append(dst, byte(r))
		}
	}
	return dst
}

func (n Notify) append(dst []byte) []byte {
	if n == NotifyNever {
		return append(dst, "NEVER"...)
	}
	comma := len(dst)
	for _, event := range []struct {
		bit  Notify
		name string
	}{{NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}} {
		if n&event.bit == 0 {
			continue
		}
		if len(dst) > comma {
			dst = append(dst, ',')
		}
		dst = append(dst, event.name...)
	}
	return dst
}

// signal wakes the caller of Send without waiting for it.
func (t *transaction) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// traceEvent is a hook to call: of a command or of a reply.
type traceEvent struct {
	line  string
	phase Phase
	reply Reply
	took  time.Duration
}

func (t *transaction) traceCommand(line []byte) {
	if t.trace == nil || t.trace.Command == nil {
		return
	}
	t.events = append(t.events, traceEvent{line: string(bytes.TrimRight(line, "\r\n"))})
	t.signal()
}

func (t *transaction) traceReply(phase Phase, r rawReply, due time.Time) {
	if t.trace == nil || t.trace.Reply == nil {
		return
	}
	t.events = append(t.events, traceEvent{phase: phase, reply: r.reply(), took: time.Since(due)})
	t.signal()
}

func (t *Trace) play(events []traceEvent) {
	for _, e := range events {
		if e.phase == "" {
			t.command(e.line)
		} else {
			t.reply(e.phase, e.reply, e.took)
		}
	}
}
