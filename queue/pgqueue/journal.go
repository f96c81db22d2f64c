package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

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
	return s.do(ctx, "record", func(ctx context.Context, tx pgx.Tx) error { return s.record(ctx, tx, events) })
}

const eventColumns = `id, time, type, message, recipient, campaign, stream, tenant, tags, meta, url, link, ip, user_agent,
	machine, first, reason, verdict, code, enhanced, diagnostic, host, attempt, queue_id, mailing`

// eventTypes are the types of eventColumns.
var eventTypes = strings.Fields(`uuid bigint text uuid text text text text text text text integer text text
	integer integer text text integer text text text integer text text`)

// eventsFrom inserts events that are the arguments after the first n, and fills in
// what they leave empty from the jobs that they are about. One more argument, where
// there are others before, is the job of the change of each.
func eventsFrom(n int) string {
	var arrays []string
	for i, t := range eventTypes {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", n+i+1, t))
	}
	columns := eventColumns
	if n > 0 {
		arrays, columns = append(arrays, fmt.Sprintf("$%d::uuid[]", n+len(eventTypes)+1)), columns+", change"
	}
	return `INSERT INTO @event (` + eventColumns + `)
SELECT e.id, e.time, e.type, e.message, coalesce(e.recipient, job.address), coalesce(e.campaign, nullif(flow.campaign, '')),
	coalesce(e.stream, nullif(job.stream, '')), coalesce(e.tenant, nullif(flow.tenant, '')),
	coalesce(e.tags::json, job.tags), coalesce(e.meta::json, job.meta),
	e.url, e.link, e.ip, e.user_agent, e.machine, e.first, e.reason, e.verdict, e.code, e.enhanced, e.diagnostic, e.host,
	e.attempt, e.queue_id, e.mailing
FROM unnest(` + strings.Join(arrays, ", ") + `) AS e (` + columns + `)
LEFT JOIN LATERAL (SELECT * FROM @job job WHERE job.id = e.message LIMIT 1) AS job ON true
LEFT JOIN LATERAL (SELECT * FROM @flow flow WHERE flow.id = job.flow LIMIT 1) AS flow ON true`
}

var insertEvents = eventsFrom(0) + " ON CONFLICT (id) DO NOTHING"

// consent reports whether an event is about what the recipient wishes.
func consent(e tracking.Event) bool {
	return e.Type == tracking.Unsubscribed || e.Type == tracking.Resubscribed
}

func (s *Store) record(ctx context.Context, tx pgx.Tx, events []tracking.Event) error {
	events = sameEvents(events)
	if len(events) == 0 {
		return nil
	}
	var c eventRows
	for i := range events {
		c.add(&events[i])
	}
	if !slices.ContainsFunc(events, consent) {
		_, err := tx.Exec(ctx, s.sql(insertEvents), c.args()...)
		return err
	}
	found, err := tx.Query(ctx, s.sql(insertEvents+" RETURNING "+eventColumns), c.args()...)
	if err != nil {
		return err
	}
	stored, err := pgx.CollectRows(found, scanEvent)
	if err != nil {
		return err
	}
	return s.obey(ctx, tx, events, stored)
}

// obey keeps the suppression list as the recipients wish, in the order of the events.
func (s *Store) obey(ctx context.Context, tx pgx.Tx, events, stored []tracking.Event) error {
	byID := make(map[tracking.ID]*tracking.Event, len(stored))
	for i := range stored {
		byID[stored[i].ID] = &stored[i]
	}
	for i := range events {
		e := byID[events[i].ID]
		if e == nil || e.Recipient == "" {
			continue
		}
		entry := queue.ByUnsubscribe(e)
		var err error
		switch e.Type {
		case tracking.Unsubscribed:
			err = s.suppress(ctx, tx, &entry)
		case tracking.Resubscribed:
			_, err = s.unsuppress(ctx, tx, entry.Address, entry.Stream)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eventRows are events as columns, in the order of eventColumns.
type eventRows struct {
	ids                                                 [][16]byte
	times                                               []int64
	types                                               []string
	messages                                            []*[16]byte
	recipients, campaigns, streams, tenants, tags, meta []*string
	urls, ips, agents, reasons, verdicts, enhanced      []*string
	diagnostics, hosts, queueIDs, mailings              []*string
	links, machines, firsts, codes, attempts            []*int32
}

func (r *eventRows) add(e *tracking.Event) {
	r.ids = append(r.ids, e.ID)
	r.times = append(r.times, schedule.Millis(e.Time))
	r.types = append(r.types, string(e.Type))
	r.messages = append(r.messages, uuidOrNull(e.Message))
	r.tags = append(r.tags, encodeTags(e.Tags))
	r.meta = append(r.meta, encodeMeta(e.Meta))
	for _, text := range []struct {
		column *[]*string
		value  string
	}{
		{&r.recipients, e.Recipient}, {&r.campaigns, e.Campaign}, {&r.streams, e.Stream}, {&r.tenants, e.Tenant}, {&r.urls, e.URL},
		{&r.agents, e.UserAgent}, {&r.enhanced, e.Enhanced}, {&r.diagnostics, e.Diagnostic}, {&r.hosts, e.Host}, {&r.queueIDs, e.QueueID},
		{&r.mailings, e.Mailing}, {&r.ips, nameUnless(!e.IP.IsValid(), e.IP)}, {&r.reasons, nameUnless(e.Reason == bounce.Undetermined, e.Reason)},
		{&r.verdicts, nameUnless(e.Verdict == bounce.Unknown, e.Verdict)},
	} {
		*text.column = append(*text.column, orNull(text.value))
	}
	first := 0
	if e.First {
		first = 1
	}
	for _, number := range []struct {
		column *[]*int32
		value  int
	}{{&r.links, e.Link}, {&r.machines, int(e.Machine)}, {&r.firsts, first}, {&r.codes, e.Code}, {&r.attempts, e.Attempt}} {
		*number.column = append(*number.column, orNone(number.value))
	}
}

func nameUnless(empty bool, v fmt.Stringer) string {
	if empty {
		return ""
	}
	return v.String()
}

func orNone(n int) *int32 {
	if n == 0 {
		return nil
	}
	v := int32(n)
	return &v
}

func (r *eventRows) args() []any {
	return []any{
		r.ids, r.times, r.types, r.messages, r.recipients, r.campaigns, r.streams, r.tenants, r.tags, r.meta, r.urls, r.links, r.ips, r.agents,
		r.machines, r.firsts, r.reasons, r.verdicts, r.codes, r.enhanced, r.diagnostics, r.hosts, r.attempts, r.queueIDs, r.mailings,
	}
}

func scanEvent(row pgx.CollectableRow) (e tracking.Event, err error) {
	var at int64
	var message *[16]byte
	var tags, meta []byte
	texts := make([]*string, 15)
	numbers := make([]*int32, 5)
	err = row.Scan((*[16]byte)(&e.ID), &at, &texts[0], &message, &texts[1], &texts[2], &texts[3], &texts[4], &tags, &meta, &texts[5], &numbers[0],
		&texts[6], &texts[7], &numbers[1], &numbers[2], &texts[8], &texts[9], &numbers[3], &texts[10], &texts[11], &texts[12], &numbers[4],
		&texts[13], &texts[14])
	if err != nil {
		return e, err
	}
	e.Time = schedule.Time(at)
	if message != nil {
		e.Message = *message
	}
	var ip, reason, verdict, kind string
	for i, into := range []*string{
		&kind, &e.Recipient, &e.Campaign, &e.Stream, &e.Tenant, &e.URL, &ip, &e.UserAgent, &reason, &verdict, &e.Enhanced, &e.Diagnostic, &e.Host,
		&e.QueueID, &e.Mailing,
	} {
		*into = value(texts[i])
	}
	e.Type = tracking.Type(kind)
	e.Link, e.Machine, e.First = int(value(numbers[0])), tracking.Machine(value(numbers[1])), value(numbers[2]) == 1
	e.Code, e.Attempt = int(value(numbers[3])), int(value(numbers[4]))
	return e, errors.Join(decode(tags, &e.Tags), decode(meta, &e.Meta), scanNamed(&e, ip, reason, verdict))
}

// value is what p points to; NULL is the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
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
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	w := eventsWhere(f)
	if !after.IsZero() {
		if err := s.eventsAfter(ctx, w, after); err != nil {
			return nil, s.named("events", err)
		}
	}
	if limit <= 0 {
		return nil, nil
	}
	found, err := s.db.Query(ctx, s.sql("SELECT "+eventColumns+" FROM @event"+w.String()+" ORDER BY time, id LIMIT "+w.value(limit)), w.args...)
	if err == nil {
		events, err = pgx.CollectRows(found, scanEvent)
	}
	if len(events) == 0 {
		events = nil
	}
	return events, s.named("events", err)
}

func eventsWhere(f queue.EventFilter) *where {
	w := &where{}
	w.add(!f.Message.IsZero(), "message = ?", [16]byte(f.Message))
	w.add(f.Recipient != "", "recipient = ?", f.Recipient)
	w.add(f.Campaign != "", "campaign = ?", f.Campaign)
	w.add(!f.Since.IsZero(), "time >= ?", schedule.Millis(f.Since))
	w.add(!f.Until.IsZero(), "time < ?", schedule.Millis(f.Until))
	types := make([]string, len(f.Types))
	for i, t := range f.Types {
		types[i] = string(t)
	}
	w.add(len(types) > 0, "type = ANY(?)", types)
	return w
}

func (s *Store) eventsAfter(ctx context.Context, w *where, after tracking.ID) error {
	var at int64
	err := s.db.QueryRow(ctx, s.sql("SELECT time FROM @event WHERE id = $1"), [16]byte(after)).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return schedule.UnknownEvent(after)
	}
	w.conditions = append(w.conditions, strings.Join([]string{"(time, id) > (", w.value(at), ", ", w.value([16]byte(after)), ")"}, ""))
	return err
}
