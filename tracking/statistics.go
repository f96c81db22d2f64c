package tracking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/franqueo/franqueo/bounce"
)

// Query asks for [Statistics]. The zero Query counts everything in one row.
type Query struct {
	// By says what has a row of its own.
	By Dimension
	// The others pick events: those that meet every field that is set.
	Campaign, Stream, Tenant string
	// Since is the first instant, Until the first after the last.
	Since, Until time.Time
}

// Dimension is what statistics are split by.
type Dimension uint8

// The dimensions. ByLink counts clicks alone.
const (
	ByNothing Dimension = iota
	ByCampaign
	ByStream
	ByTenant
	ByLink
	ByDomain // of the recipient
	ByHour   // of the event, in UTC
)

// Statistics counts mails, but where it says hits: however many events of a kind a
// mail has, it counts once.
type Statistics struct {
	// Key is the campaign, stream, tenant, destination or domain; empty where it is
	// not known. Link is the position of the link, Hour the hour's beginning.
	Key  string
	Link int
	Hour time.Time

	Queued int
	// Sent counts the mails of which at least one attempt was made.
	Sent      int
	Delivered int // also those that were returned later
	Deferred  int // also those that were delivered later
	Rejected  int // never sent: suppressed, expired, cancelled
	Failed    int // our own fault
	// Bounced is Hard, Soft, and those of which nothing is known.
	Bounced, Hard, Soft int
	// Reasons splits Bounced.
	Reasons map[bounce.Reason]int

	// Opened counts mails that were opened or, since many clients load no images,
	// clicked; its hits are opens alone.
	Opened, Clicked Engagement

	Unsubscribed, Complained int
}

// Engagement counts opens or clicks.
type Engagement struct {
	// Human counts mails, and HumanHits hits, against which nothing speaks; Machine
	// and MachineHits, the others. A mail can be in both. Anonymous hits are of no
	// known mail.
	Human, HumanHits     int
	Machine, MachineHits int
}

// DeliveryRate is the share of the sent mails that was delivered.
func (s *Statistics) DeliveryRate() float64 { return rate(s.Delivered, s.Sent) }

// BounceRate is the share of the sent mails that bounced.
func (s *Statistics) BounceRate() float64 { return rate(s.Bounced, s.Sent) }

// OpenRate is the share of the delivered mails that people opened.
func (s *Statistics) OpenRate() float64 { return rate(s.Opened.Human, s.Delivered) }

// ClickRate is the share of the delivered mails that people clicked.
func (s *Statistics) ClickRate() float64 { return rate(s.Clicked.Human, s.Delivered) }

// ClickToOpenRate is the share of the opened mails that people clicked.
func (s *Statistics) ClickToOpenRate() float64 { return rate(s.Clicked.Human, s.Opened.Human) }

// UnsubscribeRate is the share of the delivered mails that led to an unsubscribe.
func (s *Statistics) UnsubscribeRate() float64 { return rate(s.Unsubscribed, s.Delivered) }

// ComplaintRate is the share of the delivered mails that were called spam. Large
// receivers refuse senders above 0.003.
func (s *Statistics) ComplaintRate() float64 { return rate(s.Complained, s.Delivered) }

// rate is n/of, or 0 of nothing.
func rate(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Statistics counts the events that q picks: a row for each value of its dimension,
// in order, hours by time.
func (j *Journal) Statistics(ctx context.Context, q Query) ([]Statistics, error) {
	return q.count(ctx, j.db, j.dialect, j.table)
}

// CountEvents is [Journal.Statistics] for a table with the columns of a journal that
// something else keeps, such as the table "event" of a queue's SQLite file.
func CountEvents(ctx context.Context, db *sql.DB, table string, q Query) ([]Statistics, error) {
	if !isTable(table) {
		return nil, fmt.Errorf("tracking: event table %q: use letters, digits and underscores", table)
	}
	d, err := dialectOf(ctx, db)
	if err != nil {
		return nil, err
	}
	return q.count(ctx, db, d, table)
}

func (q *Query) count(ctx context.Context, db *sql.DB, d dialect, table string) ([]Statistics, error) {
	if q.By > ByHour {
		return nil, fmt.Errorf("tracking: statistics by unknown dimension %d", q.By)
	}
	out, err := q.counts(ctx, db, d, table)
	if err == nil && q.By != ByLink {
		err = q.reasons(ctx, db, d, table, out)
	}
	if err != nil {
		return nil, fmt.Errorf("tracking: statistics: %w", err)
	}
	return out, nil
}

// counts makes one row a mail first, then adds the mails up: a database counts
// distinct mails slowly, and we would need it for each column.
func (q *Query) counts(ctx context.Context, db *sql.DB, d dialect, table string) (out []Statistics, err error) {
	columns := make([]string, len(counted))
	sums := make([]string, len(counted))
	for i, c := range counted {
		columns[i] = fmt.Sprintf("%s AS n%d", c, i)
		sums[i] = fmt.Sprintf("CAST(SUM(n%d) AS BIGINT)", i)
	}
	c := q.conditions(d)
	rows, err := db.QueryContext(ctx, "SELECT k, l, "+strings.Join(sums, ", ")+
		" FROM (SELECT "+q.key(d)+" AS k, "+q.link()+" AS l, message, "+strings.Join(columns, ", ")+
		" FROM "+table+c.where()+" GROUP BY 1, 2, message) AS mail GROUP BY k, l ORDER BY k, l", c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Statistics
		if err := rows.Scan(s.fields()...); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	switch {
	case q.By == ByHour:
		err = setHours(out)
	case q.By == ByNothing && len(out) == 0:
		out = make([]Statistics, 1)
	}
	return out, errors.Join(err, rows.Err())
}

func setHours(rows []Statistics) error {
	for i := range rows {
		ms, err := strconv.ParseInt(rows[i].Key, 10, 64)
		if err != nil {
			return err
		}
		rows[i].Key, rows[i].Hour = "", time.UnixMilli(ms).UTC()
	}
	return nil
}

// countMails is 1 for a mail with such an event, countHits the number of its events.
func countMails(condition string) string {
	return "MAX(CASE WHEN message IS NOT NULL AND " + condition + " THEN 1 ELSE 0 END)"
}

func countHits(condition string) string {
	return "SUM(CASE WHEN " + condition + " THEN 1 ELSE 0 END)"
}

const (
	byHuman   = " AND COALESCE(machine, 0) = 0"
	byMachine = " AND COALESCE(machine, 0) <> 0"
)

// counted are the columns, in the order of Statistics.fields.
var counted = [...]string{
	countMails("type = 'queued'"), countMails("type IN ('delivered', 'deferred', 'bounced')"), countMails("type = 'delivered'"),
	countMails("type = 'deferred'"), countMails("type = 'rejected'"), countMails("type = 'failed'"),
	countMails("type = 'bounced'"), countMails("type = 'bounced' AND verdict = 'hard'"), countMails("type = 'bounced' AND verdict = 'soft'"),
	countMails("type IN ('opened', 'clicked')" + byHuman), countHits("type = 'opened'" + byHuman),
	countMails("type = 'opened'" + byMachine), countHits("type = 'opened'" + byMachine),
	countMails("type = 'clicked'" + byHuman), countHits("type = 'clicked'" + byHuman),
	countMails("type = 'clicked'" + byMachine), countHits("type = 'clicked'" + byMachine),
	countMails("type = 'unsubscribed'"), countMails("type = 'complained'"),
}

// fields are where a row goes.
func (s *Statistics) fields() []any {
	o, c := &s.Opened, &s.Clicked
	return []any{
		&s.Key, &s.Link, &s.Queued, &s.Sent, &s.Delivered, &s.Deferred, &s.Rejected, &s.Failed, &s.Bounced, &s.Hard, &s.Soft,
		&o.Human, &o.HumanHits, &o.Machine, &o.MachineHits, &c.Human, &c.HumanHits, &c.Machine, &c.MachineHits,
		&s.Unsubscribed, &s.Complained,
	}
}

// reasons fills in the reasons of the rows, which are in the order of their keys.
func (q *Query) reasons(ctx context.Context, db *sql.DB, d dialect, table string, out []Statistics) error {
	c := q.conditions(d)
	c.add("type = 'bounced'")
	rows, err := db.QueryContext(ctx, "SELECT "+q.key(d)+" AS k, COALESCE(reason, ''), COUNT(DISTINCT message) FROM "+table+c.where()+
		" GROUP BY 1, 2", c.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	byKey := make(map[string]*Statistics)
	for i := range out {
		byKey[q.keyOf(&out[i])] = &out[i]
	}
	for rows.Next() {
		var key, name string
		var n int
		var reason bounce.Reason
		if err := errors.Join(rows.Scan(&key, &name, &n), fromText(name, &reason)); err != nil {
			return err
		}
		s := byKey[key]
		if s == nil {
			continue // recorded since the counts were made
		}
		if s.Reasons == nil {
			s.Reasons = make(map[bounce.Reason]int)
		}
		s.Reasons[reason] += n
	}
	return rows.Err()
}

// keyOf is the key that a row had in the database.
func (q *Query) keyOf(s *Statistics) string {
	if q.By == ByHour {
		return strconv.FormatInt(s.Hour.UnixMilli(), 10)
	}
	return s.Key
}

// key is the expression for the dimension, as text.
func (q *Query) key(d dialect) string {
	switch q.By {
	case ByCampaign:
		return "COALESCE(campaign, '')"
	case ByStream:
		return "COALESCE(stream, '')"
	case ByTenant:
		return "COALESCE(tenant, '')"
	case ByLink:
		return "COALESCE(url, '')"
	case ByDomain:
		return "COALESCE(" + d.domain() + ", '')"
	case ByHour:
		return "CAST(time - time % 3600000 AS TEXT)"
	}
	return "''"
}

func (q *Query) link() string {
	if q.By == ByLink {
		return "COALESCE(link, 0)"
	}
	return "0"
}

func (q *Query) conditions(d dialect) conditions {
	c := conditions{dialect: d}
	if q.By == ByLink {
		c.add("type = 'clicked'")
	}
	c.equal("campaign", q.Campaign)
	c.equal("stream", q.Stream)
	c.equal("tenant", q.Tenant)
	c.span(q.Since, q.Until)
	return c
}
