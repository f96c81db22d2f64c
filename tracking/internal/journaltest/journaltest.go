// Package journaltest holds [tracking.Journal] to its rules, on any database.
package journaltest

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

// Database is one to keep a journal in, and the name of the schema where tables are
// made.
type Database struct {
	*sql.DB
	Schema string
}

// Test runs the rules, each on the empty database that open makes.
func Test(t *testing.T, open func(t *testing.T) *Database) {
	for _, rule := range []struct {
		name  string
		check func(*testing.T, *Database)
	}{
		{"an event comes back as it was recorded, and once", keepsEveryField},
		{"bad names, queries and events are refused", refuses},
		{"events are filtered, paged, pruned and forgotten", filters},
		{"a mail is resolved from its events", resolves},
		{"many record at once", takesFromMany},
		{"statistics count", counts},
	} {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.check(t, open(t))
		})
	}
}

// noon is when the tests' events happen.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newJournal(t *testing.T, db *sql.DB) *tracking.Journal {
	t.Helper()
	j, err := tracking.NewJournal(t.Context(), db, nil)
	require.NoError(t, err)
	return j
}

// whole is an event with every field.
func whole() tracking.Event {
	return tracking.Event{
		ID: tracking.NewID(), Type: tracking.Bounced, Time: noon, Message: tracking.NewID(), Mailing: "0011224344556677",
		Recipient: "ana@example.com", Campaign: "otoño", Stream: "s", Tenant: "t", Tags: []string{"a", "b"}, Meta: map[string]string{"k": "v"},
		URL: "https://example.com/?a=1&b=<2>", Link: 3, IP: netip.MustParseAddr("2001:db8::"), UserAgent: "Thunderbird on Linux",
		Machine: tracking.MachineTooFast | tracking.MachineSweep, First: true, Reason: bounce.MailboxFull, Verdict: bounce.Soft,
		Code: 452, Enhanced: "4.2.2", Diagnostic: "452 4.2.2 lleno", Host: "mx.example.com", Attempt: 2, QueueID: "ABC",
	}
}

func keepsEveryField(t *testing.T, d *Database) {
	db := d.DB
	newJournal(t, db)
	j := newJournal(t, db) // again
	e := whole()
	bare := tracking.Event{ID: tracking.NewID(), Type: tracking.Opened, Time: noon.Add(time.Millisecond)}
	changed := e
	changed.Campaign = "primavera"
	require.NoError(t, j.Record(t.Context(), []tracking.Event{bare, e}))
	require.NoError(t, j.Record(t.Context(), []tracking.Event{changed, e}), "again, as a sink may be given events")
	got, err := j.Events(t.Context(), tracking.EventFilter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Equal(t, []tracking.Event{e, bare}, got)
	require.NoError(t, j.Record(t.Context(), nil))
}

func refuses(t *testing.T, d *Database) {
	db := d.DB
	for _, name := range []string{"a-b", "a.b.c", "1a", "a; DROP TABLE x", ".", `"a"`} {
		_, err := tracking.NewJournal(t.Context(), db, &tracking.JournalOptions{Table: name})
		require.ErrorContains(t, err, "journal table "+fmt.Sprintf("%q", name))
		_, err = tracking.CountEvents(t.Context(), db, name, tracking.Query{})
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
	}
	j, err := tracking.NewJournal(t.Context(), db, &tracking.JournalOptions{Table: d.Schema + ".eventos_2026"})
	require.NoError(t, err)
	e := whole()
	e.ID = tracking.ID{}
	require.ErrorContains(t, j.Record(t.Context(), []tracking.Event{whole(), e}), "position 2 has no ID")
	got, err := j.Events(t.Context(), tracking.EventFilter{}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = j.Events(t.Context(), tracking.EventFilter{}, tracking.NewID(), 10)
	require.ErrorIs(t, err, sql.ErrNoRows)
	_, err = j.Statistics(t.Context(), tracking.Query{By: 99})
	require.ErrorContains(t, err, "dimension 99")
}

func filters(t *testing.T, d *Database) {
	j := newJournal(t, d.DB)
	var in []tracking.Event
	for i := range 450 { // more than fit in one statement
		e := whole()
		e.Time = noon.Add(time.Duration(i/3) * time.Second)
		e.Attempt = i
		if i%2 == 0 {
			e.Type, e.Recipient = tracking.Deferred, "bea@example.com"
		}
		in = append(in, e)
	}
	require.NoError(t, j.Record(t.Context(), in))
	var got []tracking.Event
	var after tracking.ID
	for {
		page, err := j.Events(t.Context(), tracking.EventFilter{}, after, 100)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1].ID
	}
	require.ElementsMatch(t, in, got)
	for _, test := range []struct {
		name   string
		filter tracking.EventFilter
		want   int
	}{
		{"message", tracking.EventFilter{Message: in[7].Message}, 1},
		{"recipient", tracking.EventFilter{Recipient: "bea@example.com"}, 225},
		{"campaign", tracking.EventFilter{Campaign: "otoño"}, 450},
		{"other campaign", tracking.EventFilter{Campaign: "x"}, 0},
		{"types", tracking.EventFilter{Types: []tracking.Type{tracking.Deferred, tracking.Opened}}, 225},
		{"since", tracking.EventFilter{Since: noon.Add(149 * time.Second)}, 3},
		{"until", tracking.EventFilter{Until: noon.Add(time.Second)}, 3},
		{"all", tracking.EventFilter{Since: noon, Until: noon.Add(2 * time.Second), Types: []tracking.Type{tracking.Bounced}, Recipient: "ana@example.com"}, 3},
	} {
		events, err := j.Events(t.Context(), test.filter, tracking.ID{}, 1000)
		require.NoError(t, err)
		require.Len(t, events, test.want, test.name)
	}
	n, err := j.Prune(t.Context(), noon.Add(time.Second))
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	n, err = j.Forget(t.Context(), "ana@example.com")
	require.NoError(t, err)
	require.EqualValues(t, 224, n)
	events, err := j.Events(t.Context(), tracking.EventFilter{Types: []tracking.Type{tracking.Bounced}}, tracking.ID{}, 1000)
	require.NoError(t, err)
	require.Len(t, events, 224)
	require.Empty(t, events[0].Recipient+events[0].Diagnostic+events[0].UserAgent)
	require.False(t, events[0].IP.IsValid())
}

func resolves(t *testing.T, d *Database) {
	j := newJournal(t, d.DB)
	message := tracking.NewID()
	at := func(typ tracking.Type, second int) tracking.Event {
		return tracking.Event{ID: tracking.NewID(), Type: typ, Time: noon.Add(time.Duration(second) * time.Second), Message: message, Mailing: "00ff"}
	}
	_, err := j.Resolve(t.Context(), message, "00ff")
	require.ErrorIs(t, err, tracking.ErrUnknownMail)
	_, err = j.Resolve(t.Context(), tracking.ID{}, "00ff")
	require.ErrorIs(t, err, tracking.ErrUnknownMail)

	queued := at(tracking.Queued, 0)
	queued.Recipient, queued.Campaign, queued.Stream, queued.Tenant = "ana@example.com", "otoño", "s", "t"
	queued.Tags, queued.Meta = []string{"a"}, map[string]string{"k": "v"}
	machine := at(tracking.Opened, 2)
	machine.Machine = tracking.MachineApplePrivacy
	require.NoError(t, j.Record(t.Context(), []tracking.Event{queued}))
	require.NoError(t, j.Record(t.Context(), []tracking.Event{at(tracking.Delivered, 1), machine}))

	want := tracking.Mail{Recipient: "ana@example.com", Campaign: "otoño", Stream: "s", Tenant: "t", Tags: []string{"a"}, Meta: map[string]string{"k": "v"}, Delivered: noon.Add(time.Second)}
	mail, err := j.Resolve(t.Context(), message, "")
	require.NoError(t, err)
	require.Equal(t, want, mail)
	require.NoError(t, j.Record(t.Context(), []tracking.Event{at(tracking.Opened, 3), at(tracking.Clicked, 3)}))
	want.Opened, want.Clicked = true, true
	mail, err = j.Resolve(t.Context(), message, "")
	require.NoError(t, err)
	require.Equal(t, want, mail)

	mail, err = j.Resolve(t.Context(), tracking.ID{}, "00ff")
	require.NoError(t, err)
	require.Equal(t, tracking.Mail{Campaign: "otoño", Stream: "s", Tenant: "t", Tags: []string{"a"}}, mail, "nothing about a recipient")

	clicks, err := j.Events(t.Context(), tracking.EventFilter{Types: []tracking.Type{tracking.Clicked}}, tracking.ID{}, 10)
	require.NoError(t, err)
	require.Equal(t, "ana@example.com", clicks[0].Recipient)
	require.Equal(t, map[string]string{"k": "v"}, clicks[0].Meta)
}

func takesFromMany(t *testing.T, d *Database) {
	j := newJournal(t, d.DB)
	shared := whole()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := j.Record(context.Background(), []tracking.Event{whole(), shared}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := j.Events(t.Context(), tracking.EventFilter{}, tracking.ID{}, 1000)
	require.NoError(t, err)
	require.Len(t, got, 81)
}

// story is what became of four mails and a few anonymous hits.
func story() []tracking.Event {
	var out []tracking.Event
	tell := func(typ tracking.Type, message tracking.ID, minute int, edit func(*tracking.Event)) {
		e := tracking.Event{ID: tracking.NewID(), Type: typ, Time: noon.Add(time.Duration(minute) * time.Minute), Message: message, Mailing: "00ff"}
		if edit != nil {
			edit(&e)
		}
		out = append(out, e)
	}
	mail := func(to, campaign string) tracking.ID {
		id := tracking.NewID()
		tell(tracking.Queued, id, 0, func(e *tracking.Event) { e.Recipient, e.Campaign, e.Stream, e.Tenant = to, campaign, "news", "acme" })
		return id
	}
	link := func(n int, machine tracking.Machine) func(*tracking.Event) {
		return func(e *tracking.Event) {
			e.URL, e.Link, e.Machine = fmt.Sprintf("https://example.com/%d", n), n, machine
		}
	}
	failed := func(reason bounce.Reason, verdict bounce.Verdict) func(*tracking.Event) {
		return func(e *tracking.Event) { e.Reason, e.Verdict = reason, verdict }
	}
	a, b := mail("ana@Example.com", "otoño"), mail("bea@example.com", "otoño")
	c, d := mail(`"c@x"@example.net`, "otoño"), mail("dora@example.net", "primavera")
	mail("eva@example.net", "primavera") // still waiting

	tell(tracking.Deferred, a, 1, failed(bounce.Greylisted, bounce.Soft))
	tell(tracking.Delivered, a, 2, nil)
	tell(tracking.Opened, a, 3, func(e *tracking.Event) { e.Machine = tracking.MachineApplePrivacy })
	tell(tracking.Opened, a, 61, nil)
	tell(tracking.Opened, a, 62, nil)
	tell(tracking.Clicked, a, 63, link(0, 0))
	tell(tracking.Clicked, a, 64, link(1, 0))
	tell(tracking.Clicked, a, 65, link(1, 0))

	tell(tracking.Delivered, b, 2, nil)
	tell(tracking.Clicked, b, 3, link(0, tracking.MachineSweep))
	tell(tracking.Clicked, b, 4, link(1, 0)) // with images off
	tell(tracking.Unsubscribed, b, 5, nil)
	tell(tracking.Complained, b, 6, nil)

	tell(tracking.Bounced, c, 2, failed(bounce.BadMailbox, bounce.Hard))
	tell(tracking.Bounced, c, 9, failed(bounce.BadMailbox, bounce.Hard)) // told twice
	tell(tracking.Delivered, d, 2, nil)
	tell(tracking.Bounced, d, 30, failed(bounce.MailboxFull, bounce.Soft)) // returned later

	tell(tracking.Rejected, tracking.NewID(), 1, func(e *tracking.Event) { e.Recipient, e.Campaign = "f@example.org", "primavera" })
	tell(tracking.Failed, tracking.NewID(), 1, func(e *tracking.Event) { e.Recipient, e.Campaign = "g@example.org", "primavera" })
	for range 2 { // nobody knows whose
		tell(tracking.Opened, tracking.ID{}, 10, func(e *tracking.Event) { e.Campaign = "primavera" })
	}
	return out
}

func counts(t *testing.T, d *Database) {
	db := d.DB
	j := newJournal(t, db)
	require.NoError(t, j.Record(t.Context(), story()))
	count := func(q tracking.Query) []tracking.Statistics {
		t.Helper()
		rows, err := j.Statistics(t.Context(), q)
		require.NoError(t, err)
		again, err := tracking.CountEvents(t.Context(), db, "mail_event", q)
		require.NoError(t, err)
		require.Equal(t, rows, again)
		return rows
	}
	otono := tracking.Statistics{
		Queued: 3, Sent: 3, Delivered: 2, Deferred: 1, Bounced: 1, Hard: 1,
		Reasons: map[bounce.Reason]int{bounce.BadMailbox: 1},
		Opened:  tracking.Engagement{Human: 2, HumanHits: 2, Machine: 1, MachineHits: 1},
		Clicked: tracking.Engagement{Human: 2, HumanHits: 4, Machine: 1, MachineHits: 1},

		Unsubscribed: 1, Complained: 1,
	}
	primavera := tracking.Statistics{
		Queued: 2, Sent: 1, Delivered: 1, Rejected: 1, Failed: 1, Bounced: 1, Soft: 1,
		Reasons: map[bounce.Reason]int{bounce.MailboxFull: 1},
		Opened:  tracking.Engagement{HumanHits: 2},
	}
	require.Equal(t, []tracking.Statistics{otono}, count(tracking.Query{Campaign: "otoño"}))
	require.Equal(t, []tracking.Statistics{primavera}, count(tracking.Query{Campaign: "primavera"}))
	require.Equal(t, []tracking.Statistics{{}}, count(tracking.Query{Campaign: "verano"}))
	otono.Key, primavera.Key = "otoño", "primavera"
	require.Equal(t, []tracking.Statistics{otono, primavera}, count(tracking.Query{By: tracking.ByCampaign}))

	all := count(tracking.Query{})[0]
	require.Equal(t, map[bounce.Reason]int{bounce.BadMailbox: 1, bounce.MailboxFull: 1}, all.Reasons)
	require.Equal(t, 4, all.Sent)
	require.InDelta(t, 0.75, all.DeliveryRate(), 1e-9)
	require.InDelta(t, 0.5, all.BounceRate(), 1e-9)
	require.InDelta(t, 2.0/3, all.OpenRate(), 1e-9)
	require.InDelta(t, 2.0/3, all.ClickRate(), 1e-9)
	require.InDelta(t, 1.0, all.ClickToOpenRate(), 1e-9)
	require.InDelta(t, 1.0/3, all.UnsubscribeRate(), 1e-9)
	require.InDelta(t, 1.0/3, all.ComplaintRate(), 1e-9)
	var nothing tracking.Statistics
	require.Zero(t, nothing.OpenRate())

	links := count(tracking.Query{By: tracking.ByLink})
	require.Equal(t, []tracking.Statistics{
		{Key: "https://example.com/0", Link: 0, Opened: links[0].Opened, Clicked: tracking.Engagement{Human: 1, HumanHits: 1, Machine: 1, MachineHits: 1}},
		{Key: "https://example.com/1", Link: 1, Opened: links[1].Opened, Clicked: tracking.Engagement{Human: 2, HumanHits: 3}},
	}, links)

	domains := count(tracking.Query{By: tracking.ByDomain})
	require.Equal(t, []string{"", "example.com", "example.net", "example.org"}, keys(domains))
	require.Equal(t, 2, domains[1].Delivered, "whatever the case")
	require.Equal(t, 3, domains[2].Queued, "with an @ in the local part")
	require.Equal(t, map[bounce.Reason]int{bounce.BadMailbox: 1, bounce.MailboxFull: 1}, domains[2].Reasons)

	hours := count(tracking.Query{By: tracking.ByHour})
	require.Len(t, hours, 2)
	require.Equal(t, noon, hours[0].Hour)
	require.Equal(t, noon.Add(time.Hour), hours[1].Hour)
	require.Equal(t, 3, hours[1].Clicked.HumanHits)
	require.Len(t, hours[0].Reasons, 2)

	require.Equal(t, []string{"", "news"}, keys(count(tracking.Query{By: tracking.ByStream})))
	require.Equal(t, []string{"acme"}, keys(count(tracking.Query{By: tracking.ByTenant, Tenant: "acme"})))
	part := count(tracking.Query{Since: noon.Add(time.Hour), Until: noon.Add(64 * time.Minute), Stream: "news"})
	require.Equal(t, tracking.Engagement{Human: 1, HumanHits: 2}, part[0].Opened)
	require.Equal(t, tracking.Engagement{Human: 1, HumanHits: 1}, part[0].Clicked)
}

func keys(rows []tracking.Statistics) (out []string) {
	for _, s := range rows {
		out = append(out, s.Key)
	}
	return out
}
