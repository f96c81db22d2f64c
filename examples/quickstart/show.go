package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// bar is a progress bar: redrawn in place on a terminal, a line each tenth
// elsewhere.
type bar struct {
	out   io.Writer
	total int
	live  bool
	shown int // tenths, where it is not live
}

func newBar(out io.Writer, total int) *bar {
	b := &bar{out: out, total: total}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		b.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

const barWidth = 40

func (b *bar) show(done int) {
	full := done * barWidth / b.total
	text := fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, b.total)
	switch tenth := done * 10 / b.total; {
	case b.live:
		fmt.Fprintf(b.out, "\r%s", text)
	case tenth > b.shown:
		b.shown = tenth
		fmt.Fprintln(b.out, text)
	}
}

func (b *bar) end() {
	if b.live {
		fmt.Fprintln(b.out)
	}
}

// story is what became of one mail.
type story struct {
	id     tracking.ID
	events []tracking.Event
}

func (s *story) has(types ...tracking.Type) bool {
	for _, t := range types {
		if !slices.ContainsFunc(s.events, func(e tracking.Event) bool { return e.Type == t }) {
			return false
		}
	}
	return true
}

func (s *story) bounce() (tracking.Event, bool) {
	i := slices.IndexFunc(s.events, func(e tracking.Event) bool { return e.Type == tracking.Bounced })
	if i < 0 {
		return tracking.Event{}, false
	}
	return s.events[i], true
}

// show prints the table, one timeline, and where everything lies.
func (h *house) show(ctx context.Context, s *settings, out io.Writer) error {
	stories, err := h.stories(ctx)
	if err != nil {
		return err
	}
	if err := table(stories, out); err != nil {
		return err
	}
	if busiest := busiest(stories); busiest != nil {
		if err := h.timeline(ctx, busiest.id, out); err != nil {
			return err
		}
	}
	received, err := countReceived(s.database)
	if err != nil {
		return err
	}
	repeated := 0
	for _, n := range received {
		repeated += n - 1
	}
	fmt.Fprintf(out, "\nThe provider's record holds %d recipients (%s), %d of them more than once.\n", len(received), recordPath(s.database), repeated)
	fmt.Fprintf(out, "The database is %s: open it with any SQLite tool.\n", s.database)
	return nil
}

// stories reads the events of the campaign, by mail.
func (h *house) stories(ctx context.Context) (map[tracking.ID]*story, error) {
	stories := map[tracking.ID]*story{}
	var after tracking.ID
	for {
		events, err := h.store.Events(ctx, queue.EventFilter{Campaign: campaign}, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if stories[e.Message] == nil {
				stories[e.Message] = &story{id: e.Message}
			}
			stories[e.Message].events = append(stories[e.Message].events, e)
			after = e.ID
		}
		if len(events) < 1000 {
			return stories, nil
		}
	}
}

func table(stories map[tracking.ID]*story, out io.Writer) error {
	rows := map[string]int{}
	for _, s := range stories {
		switch e, bounced := s.bounce(); {
		case bounced && e.Verdict == bounce.Hard:
			rows["5 bounced hard\t"+e.Reason.String()]++
		case bounced:
			rows["4 bounced soft\t"+e.Reason.String()]++
		case s.has(tracking.Deferred, tracking.Delivered):
			rows["3 deferred, then delivered\t"]++
		case s.has(tracking.Delivered):
			rows["2 delivered\t"]++
		}
		for i, t := range []tracking.Type{tracking.Opened, tracking.Clicked, tracking.Unsubscribed} {
			if s.has(t) {
				rows[fmt.Sprintf("%d %s\t", 6+i, t)]++
			}
		}
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "Outcome\tReason\tRecipients")
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(w, "%s\t%d\n", row[2:], rows[row])
	}
	return w.Flush()
}

// busiest is the mail of which most is known.
func busiest(stories map[tracking.ID]*story) *story {
	var most *story
	for _, s := range stories {
		if most == nil || len(s.events) > len(most.events) || len(s.events) == len(most.events) && s.id.String() < most.id.String() {
			most = s
		}
	}
	return most
}

// timeline prints what happened to one mail.
func (h *house) timeline(ctx context.Context, id tracking.ID, out io.Writer) error {
	events, err := h.queue.Timeline(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe way of one mail, %s to %s:\n", id, events[0].Recipient)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, e := range events {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", e.Time.Local().Format("15:04:05.000"), e.Type, detail(&e))
	}
	return w.Flush()
}

func detail(e *tracking.Event) string {
	switch e.Type {
	case tracking.Clicked:
		return e.URL
	case tracking.Opened, tracking.Unsubscribed:
		return e.UserAgent
	}
	return strings.TrimSpace(e.Diagnostic)
}
