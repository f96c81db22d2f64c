package tracking

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Multi returns a sink that hands events to all the given ones, in order, also
// after one has failed. When one fails the events come again to all of them, as
// [Sink] allows; a sink that must not hold up the others belongs in a [Batch].
func Multi(sinks ...Sink) Sink {
	return SinkFunc(func(ctx context.Context, events []Event) error {
		var errs []error
		for _, s := range sinks {
			errs = append(errs, s.Record(ctx, events))
		}
		return errors.Join(errs...)
	})
}

// Log returns a sink that writes one record for each event, at level Info. The
// recipient and the client are left out: the message's ID leads to them.
func Log(l *slog.Logger) Sink {
	return SinkFunc(func(ctx context.Context, events []Event) error {
		for i := range events {
			l.LogAttrs(ctx, slog.LevelInfo, "mail "+string(events[i].Type), events[i].attrs()...)
		}
		return nil
	})
}

// attrs are what a log tells of an event.
func (e *Event) attrs() []slog.Attr {
	out := []slog.Attr{slog.String("event", e.ID.String()), slog.Time("at", e.Time)}
	add := func(name, value string) {
		if value != "" {
			out = append(out, slog.String(name, value))
		}
	}
	if !e.Message.IsZero() {
		add("message", e.Message.String())
	}
	add("mailing", e.Mailing)
	add("campaign", e.Campaign)
	add("stream", e.Stream)
	add("tenant", e.Tenant)
	add("url", e.URL)
	add("machine", e.Machine.String())
	if e.Reason != 0 || e.Verdict != 0 {
		add("reason", e.Reason.String())
		add("verdict", e.Verdict.String())
	}
	if e.Code != 0 {
		out = append(out, slog.Int("code", e.Code))
	}
	add("enhanced", e.Enhanced)
	add("host", e.Host)
	if e.Attempt != 0 {
		out = append(out, slog.Int("attempt", e.Attempt))
	}
	return out
}

// Chan returns a sink that sends events to c, and blocks while c is full. When its
// context ends before all are sent it fails, and those that were sent come again.
func Chan(c chan<- Event) Sink {
	return SinkFunc(func(ctx context.Context, events []Event) error {
		for i, e := range events {
			select {
			case c <- e:
			case <-ctx.Done():
				return fmt.Errorf("tracking: channel took %d of %d events: %w", i, len(events), context.Cause(ctx))
			}
		}
		return nil
	})
}
