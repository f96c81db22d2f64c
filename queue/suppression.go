package queue

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

// csvHeader names the columns of an exported suppression list. Times are RFC 3339;
// an empty until means for ever.
var csvHeader = []string{"address", "stream", "reason", "detail", "since", "until"}

// ExportSuppressions writes a list as CSV (RFC 4180), by address, with a header.
func ExportSuppressions(ctx context.Context, list SuppressionList, w io.Writer) error {
	out := csv.NewWriter(w)
	faults := []error{out.Write(csvHeader)}
	err := list.Suppressions(ctx, func(s Suppression) bool {
		err := out.Write([]string{s.Address, s.Stream, s.Reason.String(), s.Detail, formatTime(s.Since), formatTime(s.Until)})
		faults = append(faults, err)
		return err == nil
	})
	out.Flush()
	return errors.Join(append(faults, err, out.Error())...)
}

// importBatch is how many entries ImportSuppressions stores at once.
const importBatch = 1000

// ImportSuppressions adds what ExportSuppressions wrote, or a list of another
// service: a CSV file whose header has the column address, or email, and any of
// the others, in any order. A reason that is empty means opt-out, a since now. It
// returns how many entries it stored; the error names the line at fault, and what
// stood before that line is stored.
func ImportSuppressions(ctx context.Context, list SuppressionList, r io.Reader) (stored int, err error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return 0, fmt.Errorf("queue: suppression list: header: %w", err)
	}
	columns, err := suppressionColumns(header)
	if err != nil {
		return 0, err
	}
	var batch []Suppression
	flush := func() error {
		err := list.Suppress(ctx, batch)
		if err == nil {
			stored += len(batch)
		}
		batch = batch[:0]
		return err
	}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return stored, flush()
		}
		var entry Suppression
		if err == nil {
			entry, err = columns.parse(record)
		}
		if err != nil {
			line, _ := in.FieldPos(0)
			return stored, errors.Join(fmt.Errorf("queue: suppression list: line %d: %w", line, err), flush())
		}
		if batch = append(batch, entry); len(batch) == importBatch {
			if err := flush(); err != nil {
				return stored, err
			}
		}
	}
}

// suppressionFields says where each column of csvHeader stands in a file; -1 if
// nowhere.
type suppressionFields [6]int

func suppressionColumns(header []string) (suppressionFields, error) {
	columns := suppressionFields{-1, -1, -1, -1, -1, -1}
	for i, name := range header {
		for j, known := range csvHeader {
			if name == known || j == 0 && name == "email" {
				columns[j] = i
			}
		}
	}
	if columns[0] < 0 {
		return columns, fmt.Errorf("queue: suppression list: header %q has no column address or email", header)
	}
	return columns, nil
}

func (c *suppressionFields) parse(record []string) (s Suppression, err error) {
	var field [len(suppressionFields{})]string
	for i, at := range c {
		if at >= 0 && at < len(record) {
			field[i] = record[at]
		}
	}
	s = Suppression{Address: field[0], Stream: field[1], Reason: bounce.OptOut, Detail: field[3], Since: time.Now()}
	if s.Address == "" {
		return s, errors.New("the address is empty")
	}
	if field[2] != "" {
		if s.Reason, err = bounce.ParseReason(field[2]); err != nil {
			return s, err
		}
	}
	for _, t := range []struct {
		into *time.Time
		text string
	}{{&s.Since, field[4]}, {&s.Until, field[5]}} {
		if t.text == "" {
			continue
		}
		if *t.into, err = time.Parse(time.RFC3339, t.text); err != nil {
			return s, err
		}
	}
	return s, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// softReasons are those soft bounces that speak of the recipient. When they go on,
// nobody reads that mailbox.
var softReasons = map[bounce.Reason]bool{
	bounce.MailboxFull: true, bounce.MailboxDisabled: true, bounce.RecipientRefused: true, bounce.RelayDenied: true,
}

// goesOn reports whether this soft bounce is one too many: the last of
// Options.SuppressAfter since the address last took a mail, or within
// Options.SuppressWithin. A mail that came back after a server had taken it counts
// as refused.
func (q *Queue) goesOn(ctx context.Context, e *tracking.Event) bool {
	if !softReasons[e.Reason] || q.journal == nil || q.opts.SuppressAfter < 0 {
		return false
	}
	past, err := q.events(ctx, EventFilter{
		Recipient: e.Recipient, Types: []tracking.Type{tracking.Bounced, tracking.Delivered}, Since: e.Time.Add(-q.opts.SuppressWithin),
	})
	if err != nil {
		q.opts.Log.Error("queue: soft bounces not counted", "job", e.Message, "err", err)
		return false
	}
	refused := map[tracking.ID]bool{e.Message: true}
	for i := range past {
		if past[i].Type == tracking.Bounced {
			refused[past[i].Message] = true
		}
	}
	soft := map[tracking.ID]bool{e.Message: true} // in a row
	for i := range past {
		switch p := &past[i]; {
		case p.Type == tracking.Bounced && softReasons[p.Reason]:
			soft[p.Message] = true
		case p.Type == tracking.Delivered && !refused[p.Message]:
			clear(soft)
			soft[e.Message] = true
		}
	}
	return len(soft) >= q.opts.SuppressAfter
}
