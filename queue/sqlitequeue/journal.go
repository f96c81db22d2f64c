package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Record keeps events.
func (s *Store) Record(ctx context.Context, events []tracking.Event) error {
	if err := schedule.CheckEvents(events); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.write(ctx, func(w *writer) error { return w.record(events) })
}

const eventColumns = `id, time, type, message, recipient, campaign, stream, tenant, tags, meta, url, link, ip, user_agent,
	machine, first, reason, verdict, code, enhanced, diagnostic, host, attempt, queue_id, mailing`

var insertEvent = "INSERT OR IGNORE INTO event (" + eventColumns + ") VALUES " + marks(strings.Count(eventColumns, ",")+1)

func (w *writer) record(events []tracking.Event) error {
	for _, e := range events {
		if err := w.label(&e); err != nil {
			return err
		}
		n, err := w.exec(insertEvent, eventRow(&e)...)
		if err == nil && n == 1 {
			err = w.obey(&e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// obey keeps the suppression list as the recipient wishes.
func (w *writer) obey(e *tracking.Event) error {
	entry := queue.ByUnsubscribe(e)
	switch {
	case e.Recipient == "":
		return nil
	case e.Type == tracking.Unsubscribed:
		return w.suppress(&entry)
	case e.Type == tracking.Resubscribed:
		_, err := w.unsuppress(entry.Address, entry.Stream)
		return err
	}
	return nil
}

// label fills in what the event leaves empty from the job that it is about.
func (c *conn) label(e *tracking.Event) error {
	if e.Message.IsZero() || e.Recipient != "" && e.Campaign != "" && e.Tenant != "" && e.Stream != "" && len(e.Tags) > 0 && len(e.Meta) > 0 {
		return nil
	}
	var job queue.Job
	err := c.query(context.Background(), func(v []driver.Value) (err error) {
		job.Address, job.Stream = text(v[0]), text(v[1])
		if job.Tags, err = decode[[]string](v[2]); err != nil {
			return err
		}
		job.Meta, err = decode[map[string]string](v[3])
		job.Flow = scanFlow(v[4:])
		return err
	}, "SELECT address, stream, tags, meta, "+flowColumns+" FROM job JOIN flow ON flow.id = job.flow WHERE job.id = ?", e.Message[:])
	schedule.Label(e, &job)
	return err
}

func eventRow(e *tracking.Event) []driver.Value {
	return []driver.Value{
		e.ID[:], schedule.Millis(e.Time), string(e.Type), idOrNull(&e.Message), orNull(e.Recipient), orNull(e.Campaign),
		orNull(e.Stream), orNull(e.Tenant), encodeTags(e.Tags), encodeMeta(e.Meta), orNull(e.URL), orNone(e.Link),
		ipOrNull(e.IP), orNull(e.UserAgent), orNone(int(e.Machine)), firstOrNull(e.First), reasonOrNull(e.Reason), verdictOrNull(e.Verdict),
		orNone(e.Code), orNull(e.Enhanced), orNull(e.Diagnostic), orNull(e.Host), orNone(e.Attempt), orNull(e.QueueID),
		orNull(e.Mailing),
	}
}

func orNone(n int) driver.Value {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func ipOrNull(ip netip.Addr) driver.Value {
	if !ip.IsValid() {
		return nil
	}
	return ip.String()
}

func firstOrNull(first bool) driver.Value {
	if !first {
		return nil
	}
	return int64(1)
}

func reasonOrNull(r bounce.Reason) driver.Value {
	if r == bounce.Undetermined {
		return nil
	}
	return r.String()
}

func verdictOrNull(v bounce.Verdict) driver.Value {
	if v == bounce.Unknown {
		return nil
	}
	return v.String()
}

func scanEvent(v []driver.Value) (e tracking.Event, err error) {
	if err := scanID(&e.ID, v[0]); err != nil {
		return e, err
	}
	if err := scanID(&e.Message, v[3]); err != nil {
		return e, err
	}
	e.Time, e.Type = schedule.Time(integer(v[1])), tracking.Type(text(v[2]))
	e.Recipient, e.Campaign, e.Stream, e.Tenant = text(v[4]), text(v[5]), text(v[6]), text(v[7])
	if e.Tags, err = decode[[]string](v[8]); err != nil {
		return e, err
	}
	if e.Meta, err = decode[map[string]string](v[9]); err != nil {
		return e, err
	}
	e.URL, e.Link, e.UserAgent = text(v[10]), int(integer(v[11])), text(v[13])
	e.Machine, e.First = tracking.Machine(integer(v[14])), integer(v[15]) == 1
	e.Code, e.Enhanced, e.Diagnostic, e.Host = int(integer(v[18])), text(v[19]), text(v[20]), text(v[21])
	e.Attempt, e.QueueID, e.Mailing = int(integer(v[22])), text(v[23]), text(v[24])
	return e, scanNamed(&e, text(v[12]), text(v[16]), text(v[17]))
}

// scanNamed reads what is stored by its name.
func scanNamed(e *tracking.Event, ip, reason, verdict string) (err error) {
	if ip != "" {
		e.IP, err = netip.ParseAddr(ip)
	}
	if err == nil && reason != "" {
		e.Reason, err = bounce.ParseReason(reason)
	}
	if err == nil && verdict != "" {
		e.Verdict, err = bounce.ParseVerdict(verdict)
	}
	if err != nil {
		return fmt.Errorf("%w: event %v: %v", queue.ErrCorrupt, e.ID, err)
	}
	return nil
}

// Events returns the events that match.
func (s *Store) Events(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) (events []tracking.Event, err error) {
	err = s.read(ctx, func(c *conn) error {
		where, args, err := c.eventFilter(ctx, f, after)
		if err != nil || limit <= 0 {
			return err
		}
		sql := "SELECT " + eventColumns + " FROM event WHERE " + where + " ORDER BY time, id LIMIT ?"
		return c.query(ctx, func(v []driver.Value) error {
			e, err := scanEvent(v)
			events = append(events, e)
			return err
		}, sql, append(args, int64(limit))...)
	})
	return events, err
}

func (c *conn) eventFilter(ctx context.Context, f queue.EventFilter, after tracking.ID) (string, []driver.Value, error) {
	where, args := []string{"1"}, []driver.Value{}
	add := func(set bool, condition string, values ...driver.Value) {
		if set {
			where, args = append(where, condition), append(args, values...)
		}
	}
	add(!f.Message.IsZero(), "message = ?", f.Message[:])
	add(f.Recipient != "", "recipient = ?", f.Recipient)
	add(f.Campaign != "", "campaign = ?", f.Campaign)
	add(!f.Since.IsZero(), "time >= ?", schedule.Millis(f.Since))
	add(!f.Until.IsZero(), "time < ?", schedule.Millis(f.Until))
	var types []driver.Value
	for _, t := range f.Types {
		types = append(types, string(t))
	}
	add(len(types) > 0, "type IN "+marks(len(types)), types...)
	if !after.IsZero() {
		at, found, err := c.eventTime(ctx, after)
		if err != nil {
			return "", nil, err
		}
		if !found {
			return "", nil, schedule.UnknownEvent(after)
		}
		add(true, "(time, id) > (?, ?)", at, after[:])
	}
	return strings.Join(where, " AND "), args, nil
}

func (c *conn) eventTime(ctx context.Context, id tracking.ID) (at int64, found bool, err error) {
	err = c.query(ctx, func(v []driver.Value) error {
		at, found = integer(v[0]), true
		return nil
	}, "SELECT time FROM event WHERE id = ?", id[:])
	return at, found, err
}

// marks is "(?, ?, ?)" with n marks.
func marks(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" }

func stateValues(states []queue.State) []driver.Value {
	var out []driver.Value
	for _, s := range states {
		out = append(out, int64(s))
	}
	return out
}

// hexList is IDs as a JSON array.
func hexList(ids []tracking.ID) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = hex.EncodeToString(id[:])
	}
	b, _ := json.Marshal(list) // strings cannot fail
	return string(b)
}
