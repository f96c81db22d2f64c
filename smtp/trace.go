package smtp

import (
	"context"
	"time"
)

// Trace holds hooks that are called as an attempt proceeds, as those of
// net/http/httptrace are. Any of them may be nil. They are called one after
// another, from the goroutine that called Send, or, where a [Direct] delivers to
// several domains, from those that it starts; and never see credentials or the text
// of a message.
type Trace struct {
	// Connected is called when a connection was made, with TLS and AUTH, or when
	// that failed. A connection that is reused is not reported.
	Connected func(session Session, took time.Duration, err error)
	// Command is called for each command line, without its CRLF. The secret parts
	// of AUTH are replaced by ***.
	Command func(line string)
	// Reply is called for each reply. took is the time since the reply became due.
	Reply func(phase Phase, reply Reply, took time.Duration)
	// Done is called when Send returns.
	Done func(result *Result, err error)
}

type traceKey struct{}

// WithTrace returns a context whose attempts call the hooks of t, and not those of
// an outer trace.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func contextTrace(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

func (t *Trace) connected(session Session, took time.Duration, err error) {
	if t != nil && t.Connected != nil {
		t.Connected(session, took, err)
	}
}

func (t *Trace) command(line string) {
	if t != nil && t.Command != nil {
		t.Command(line)
	}
}

func (t *Trace) reply(phase Phase, reply Reply, took time.Duration) {
	if t != nil && t.Reply != nil {
		t.Reply(phase, reply, took)
	}
}

func (t *Trace) done(result *Result, err error) {
	if t != nil && t.Done != nil {
		t.Done(result, err)
	}
}
