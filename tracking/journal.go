package tracking

import (
	"cmp"
	"context"
	"database/sql"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EventFilter picks events: those that meet every field that is set.
type EventFilter struct {
	Message   ID
	Recipient string
	Campaign  string
	Types     []Type
	// Since is the first instant, Until the first after the last.
	Since time.Time
	Until time.Time
}

// JournalOptions tunes a [Journal]. The zero value is ready for use.
type JournalOptions struct {
	// Table is the name of the table, with a schema if need be. Empty means
	// "mail_event".
	Table string
}

// Journal keeps events in a table of a host's own database, SQLite or PostgreSQL,
// and counts them. It is a sink that keeps one row for each event ID, and a
// [Resolver]: what opens and clicks leave empty is filled in from earlier events
// of the same mail. A queue's store that keeps events needs none beside it.
//
// The table has a column for each field of [Event], named as in JSON: IDs and
// addresses as text, time in Unix milliseconds, tags and meta as JSON, machine as
// a number (see [Machine]), and NULL for what is empty.
//
// It is safe for concurrent use.
type Journal struct {
	db      *sql.DB
	table   string
	dialect dialect
}

// eventColumns are the columns in the order of eventRow and scanEvent.
const eventColumns = `id, time, type, message, mailing, recipient, campaign, stream, tenant, tags, meta, url, link, ip, user_agent,
	machine, first, reason, verdict, code, enhanced, diagnostic, host, attempt, queue_id`

// eventFields are the same without NULL, for scanEvent.
const eventFields = `id, time, type, COALESCE(message, ''), COALESCE(mailing, ''), COALESCE(recipient, ''), COALESCE(campaign, ''),
	COALESCE(stream, ''), COALESCE(tenant, ''), COALESCE(tags, ''), COALESCE(meta, ''), COALESCE(url, ''), COALESCE(link, 0), COALESCE(ip, ''),
	COALESCE(user_agent, ''), COALESCE(machine, 0), COALESCE(first, 0), COALESCE(reason, ''), COALESCE(verdict, ''), COALESCE(code, 0),
	COALESCE(enhanced, ''), COALESCE(diagnostic, ''), COALESCE(host, ''), COALESCE(attempt, 0), COALESCE(queue_id, '')`

const (
	defaultTable = "mail_event"
	eventWidth   = 25
	// maxRows keeps one INSERT below SQLite's limit of 32,766 values.
	maxRows = 200
)

const eventTable = `CREATE TABLE IF NOT EXISTS %s (
	id         TEXT PRIMARY KEY,
	time       BIGINT NOT NULL,
	type       TEXT NOT NULL,
	message    TEXT,
	mailing    TEXT,
	recipient  TEXT,
	campaign   TEXT,
	stream     TEXT,
	tenant     TEXT,
	tags       TEXT,
	meta       TEXT,
	url        TEXT,
	link       INTEGER,
	ip         TEXT,
	user_agent TEXT,
	machine    INTEGER,
	first      INTEGER,
	reason     TEXT,
	verdict    TEXT,
	code       INTEGER,
	enhanced   TEXT,
	diagnostic TEXT,
	host       TEXT,
	attempt    INTEGER,
	queue_id   TEXT
)`

// eventIndexes are those that the methods need.
var eventIndexes = [...]struct{ name, columns string }{
	{"time", "time, id"},
	{"message", "message"},
	{"mailing", "mailing"},
	{"recipient", "recipient"},
	{"campaign", "campaign, time"},
}

// NewJournal opens the table, and makes it and its indexes if they are missing.
// The caller closes db.
func NewJournal(ctx context.Context, db *sql.DB, opts *JournalOptions) (*Journal, error) {
	j := &Journal{db: db, table: defaultTable}
	if opts != nil && opts.Table != "" {
		j.table = opts.Table
	}
	if !isTable(j.table) {
		return nil, fmt.Errorf("tracking: journal table %q: use letters, digits and underscores", j.table)
	}
	var err error
	if j.dialect, err = dialectOf(ctx, db); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(eventTable, j.table)); err != nil {
		return nil, fmt.Errorf("tracking: make table %s: %w", j.table, err)
	}
	for _, index := range eventIndexes {
		if _, err := db.ExecContext(ctx, j.dialect.index(j.table, index.name, index.columns)); err != nil {
			return nil, fmt.Errorf("tracking: make index of %s by %s: %w", j.table, index.name, err)
		}
	}
	return j, nil
}

// isTable reports whether s is a plain name, or two with a dot between.
func isTable(s string) bool {
	schema, name, found := strings.Cut(s, ".")
	return isName(schema) && (!found || isName(name))
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && !('a' <= c|0x20 && c|0x20 <= 'z') && !(i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// Record keeps the events, all or none, but those whose ID is known.
func (j *Journal) Record(ctx context.Context, events []Event) (err error) {
	for i := range events {
		if events[i].ID.IsZero() {
			return fmt.Errorf("tracking: %s event at position %d has no ID: EventID makes one", events[i].Type, i+1)
		}
	}
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("tracking: record: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	known := make(map[ID]Mail)
	for len(events) > 0 {
		n := min(len(events), maxRows)
		if err := j.insert(ctx, tx, events[:n], known); err != nil {
			return fmt.Errorf("tracking: record: %w", err)
		}
		events = events[n:]
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("tracking: record: %w", err)
	}
	return nil
}

// insert inserts events. Known are the mails that events before them told of.
func (j *Journal) insert(ctx context.Context, tx *sql.Tx, events []Event, known map[ID]Mail) error {
	var rows strings.Builder
	args := make([]any, 0, len(events)*eventWidth)
	for i, e := range events {
		if err := j.label(ctx, tx, &e, known); err != nil {
			return err
		}
		if i > 0 {
			rows.WriteString(", ")
		}
		j.dialect.marks(&rows, len(args)+1, eventWidth)
		args = append(args, eventRow(&e)...)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+j.table+" ("+eventColumns+") VALUES "+rows.String()+" ON CONFLICT (id) DO NOTHING", args...)
	return err
}

// label fills in what an event leaves empty from earlier ones of the same mail.
func (j *Journal) label(ctx context.Context, tx *sql.Tx, e *Event, known map[ID]Mail) error {
	if e.Message.IsZero() {
		return nil
	}
	m, found := known[e.Message]
	if e.Recipient == "" && !found {
		var err error
		if m, err = j.labels(ctx, tx, e.Message, ""); err != nil && !errors.Is(err, ErrUnknownMail) {
			return err
		}
	}
	own := Mail{Recipient: cmp.Or(e.Recipient, m.Recipient), Campaign: e.Campaign, Stream: e.Stream, Tenant: e.Tenant, Tags: e.Tags, Meta: e.Meta}.or(&m)
	e.Recipient, e.Campaign, e.Stream, e.Tenant, e.Tags, e.Meta = own.Recipient, own.Campaign, own.Stream, own.Tenant, own.Tags, own.Meta
	if e.Recipient != "" {
		known[e.Message] = own
	}
	return nil
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// labels returns what earlier events tell of a mail, or of a mailing if message is
// zero.
func (j *Journal) labels(ctx context.Context, q querier, message ID, mailing string) (m Mail, err error) {
	where, value := "recipient IS NOT NULL AND message", message.String()
	if message.IsZero() {
		where, value = "campaign IS NOT NULL AND mailing", mailing
	}
	var tags, meta string
	err = q.QueryRowContext(ctx, `SELECT COALESCE(recipient, ''), COALESCE(campaign, ''), COALESCE(stream, ''), COALESCE(tenant, ''),
		COALESCE(tags, ''), COALESCE(meta, '') FROM `+j.table+" WHERE "+where+" = "+j.dialect.mark(1)+" LIMIT 1", value).
		Scan(&m.Recipient, &m.Campaign, &m.Stream, &m.Tenant, &tags, &meta)
	if errors.Is(err, sql.ErrNoRows) {
		return m, ErrUnknownMail
	}
	if err != nil {
		return m, err
	}
	return m, errors.Join(fromJSON(tags, &m.Tags), fromJSON(meta, &m.Meta))
}

// Resolve tells what the events so far say of a mail, or of a mailing if message is
// zero, or [ErrUnknownMail].
func (j *Journal) Resolve(ctx context.Context, message ID, mailing string) (Mail, error) {
	m, err := j.labels(ctx, j.db, message, mailing)
	if err != nil && !errors.Is(err, ErrUnknownMail) {
		return Mail{}, fmt.Errorf("tracking: resolve: %w", err)
	}
	if err != nil || message.IsZero() {
		return Mail{Campaign: m.Campaign, Stream: m.Stream, Tenant: m.Tenant, Tags: m.Tags}, err
	}
	var delivered sql.NullInt64
	err = j.db.QueryRowContext(ctx, `SELECT
		MAX(CASE WHEN type = 'delivered' THEN time END),
		COALESCE(MAX(CASE WHEN type = 'opened' AND machine IS NULL THEN 1 END), 0) = 1,
		COALESCE(MAX(CASE WHEN type = 'clicked' AND machine IS NULL THEN 1 END), 0) = 1
		FROM `+j.table+" WHERE message = "+j.dialect.mark(1), message.String()).
		Scan(&delivered, &m.Opened, &m.Clicked)
	if err != nil {
		return Mail{}, fmt.Errorf("tracking: resolve: %w", err)
	}
	if delivered.Valid {
		m.Delivered = time.UnixMilli(delivered.Int64).UTC()
	}
	return m, nil
}

// Events returns up to limit events that the filter matches, by time, from the
// first after the given event ID in that order. Zero starts at the beginning.
func (j *Journal) Events(ctx context.Context, f EventFilter, after ID, limit int) ([]Event, error) {
	c := conditions{dialect: j.dialect}
	c.filter(&f)
	if !after.IsZero() {
		var at int64
		err := j.db.QueryRowContext(ctx, "SELECT time FROM "+j.table+" WHERE id = "+j.dialect.mark(1), after.String()).Scan(&at)
		if err != nil {
			return nil, fmt.Errorf("tracking: events after %v: %w", after, err)
		}
		c.add("(time > ? OR time = ? AND id > ?)", at, at, after.String())
	}
	rows, err := j.db.QueryContext(ctx, "SELECT "+eventFields+" FROM "+j.table+c.where()+" ORDER BY time, id LIMIT "+c.value(limit), c.args...)
	if err != nil {
		return nil, fmt.Errorf("tracking: events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("tracking: events: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// Prune deletes the events before a time, and returns how many.
func (j *Journal) Prune(ctx context.Context, before time.Time) (int64, error) {
	return j.exec(ctx, "DELETE FROM "+j.table+" WHERE time < "+j.dialect.mark(1), before.UnixMilli())
}

// Forget removes what the events tell of a person: the address, and with it client,
// diagnostic and metadata. The events are still counted. It returns how many there
// were.
func (j *Journal) Forget(ctx context.Context, recipient string) (int64, error) {
	return j.exec(ctx, "UPDATE "+j.table+" SET recipient = NULL, meta = NULL, ip = NULL, user_agent = NULL, diagnostic = NULL WHERE recipient = "+
		j.dialect.mark(1), recipient)
}

func (j *Journal) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := j.db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("tracking: journal: %w", err)
	}
	return res.RowsAffected()
}

// eventRow is a row of eventColumns.
func eventRow(e *Event) []any {
	return []any{
		e.ID.String(), e.Time.UnixMilli(), string(e.Type), orNull(e.Message, e.Message.String()), orNull(e.Mailing, e.Mailing),
		orNull(e.Recipient, e.Recipient), orNull(e.Campaign, e.Campaign), orNull(e.Stream, e.Stream), orNull(e.Tenant, e.Tenant),
		toJSON(e.Tags, len(e.Tags)), toJSON(e.Meta, len(e.Meta)), orNull(e.URL, e.URL), orNull(e.Link, e.Link),
		orNull(e.IP, e.IP.String()), orNull(e.UserAgent, e.UserAgent), orNull(e.Machine, int64(e.Machine)), orNull(e.First, 1),
		orNull(e.Reason, e.Reason.String()), orNull(e.Verdict, e.Verdict.String()), orNull(e.Code, e.Code), orNull(e.Enhanced, e.Enhanced),
		orNull(e.Diagnostic, e.Diagnostic), orNull(e.Host, e.Host), orNull(e.Attempt, e.Attempt), orNull(e.QueueID, e.QueueID),
	}
}

// orNull is value, or NULL if v is zero.
func orNull[T comparable](v T, value any) any {
	var zero T
	if v == zero {
		return nil
	}
	return value
}

// toJSON is v as JSON, or NULL if it has no elements.
func toJSON(v any, n int) any {
	if n == 0 {
		return nil
	}
	b, _ := json.Marshal(v) // strings cannot fail
	return string(b)
}

func fromJSON(s string, v any) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), v)
}

func fromText(s string, v encoding.TextUnmarshaler) error {
	if s == "" {
		return nil
	}
	return v.UnmarshalText([]byte(s))
}

func scanEvent(rows *sql.Rows) (e Event, err error) {
	var at int64
	var id, message, tags, meta, ip, reason, verdict string
	err = rows.Scan(&id, &at, &e.Type, &message, &e.Mailing, &e.Recipient, &e.Campaign, &e.Stream, &e.Tenant, &tags, &meta, &e.URL, &e.Link, &ip,
		&e.UserAgent, &e.Machine, &e.First, &reason, &verdict, &e.Code, &e.Enhanced, &e.Diagnostic, &e.Host, &e.Attempt, &e.QueueID)
	if err != nil {
		return e, err
	}
	e.Time = time.UnixMilli(at).UTC()
	err = errors.Join(fromText(id, &e.ID), fromText(message, &e.Message), fromJSON(tags, &e.Tags), fromJSON(meta, &e.Meta),
		fromText(ip, &e.IP), fromText(reason, &e.Reason), fromText(verdict, &e.Verdict))
	if err != nil {
		err = fmt.Errorf("event %q: %w", id, err)
	}
	return e, err
}
