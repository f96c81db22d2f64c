package queuetest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// journalRules hold for stores that keep events.
var journalRules = onlyFor(func(s queue.Store) bool { _, ok := s.(queue.Journal); return ok }, []rule{
	{"RecordEveryField", "an event comes back as it was recorded, its time in milliseconds", func(k *kit) {
		e := tracking.Event{
			ID: tracking.NewID(), Type: tracking.Clicked, Time: noon.Add(1234567 * time.Nanosecond), Message: tracking.NewID(),
			Recipient: "ana@example.com", Campaign: "marzo", Stream: "boletín", Tenant: "acme", Tags: []string{"a", "b"},
			Meta: map[string]string{"user": "7"}, URL: "https://example.com/?a=1", Link: 3,
			IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "curl", Machine: 5, First: true,
			Reason: bounce.MailboxFull, Verdict: bounce.Soft, Code: 452, Enhanced: "4.2.2", Diagnostic: "lleno", Host: "mx.example.com",
			Attempt: 3, QueueID: "4bX1", Mailing: "0011223344556677",
		}
		bare := tracking.Event{ID: tracking.NewID(), Type: tracking.Opened, Time: noon.Add(time.Second)}
		k.record(e, bare)
		e.Time = noon.Add(time.Millisecond)
		require.Equal(k, []tracking.Event{e, bare}, k.events(queue.EventFilter{}))
	}},
	{"RecordOnce", "an event ID is recorded once, as it first came", func(k *kit) {
		first := event(tracking.Opened, noon)
		again := first
		again.Type, again.Time = tracking.Clicked, noon.Add(time.Hour)
		k.record(first, again)
		k.record(again)
		require.Equal(k, []tracking.Event{first}, k.events(queue.EventFilter{}))
	}},
	{"RecordWithoutID", "an event without an ID is refused, and those with it", func(k *kit) {
		bad := event(tracking.Opened, noon)
		bad.ID = tracking.ID{}
		require.Error(k, k.journal().Record(k.Context(), []tracking.Event{event(tracking.Opened, noon), bad}))
		require.Empty(k, k.events(queue.EventFilter{}))
	}},
	{"RecordKeepsNothing", "Record keeps nothing of its arguments", func(k *kit) {
		e := event(tracking.Opened, noon)
		e.Tags, e.Meta = []string{"a"}, map[string]string{"b": "c"}
		in := []tracking.Event{e}
		k.record(in...)
		in[0].Type, e.Tags[0], e.Meta["b"] = "", "", ""
		stored := k.events(queue.EventFilter{})[0]
		require.Equal(k, tracking.Opened, stored.Type)
		require.Equal(k, []string{"a"}, stored.Tags)
		require.Equal(k, map[string]string{"b": "c"}, stored.Meta)
	}},
	{"EventsByTime", "Events goes through the events by time, from the first after the given one", func(k *kit) {
		var want []tracking.ID
		var in []tracking.Event
		for i := range 7 {
			e := event(tracking.Opened, noon.Add(time.Duration(i/2)*time.Second))
			want, in = append(want, e.ID), append(in, e)
		}
		slices.Reverse(in)
		k.record(in...)
		var got []tracking.ID
		var after tracking.ID
		for {
			page, err := k.journal().Events(k.Context(), queue.EventFilter{}, after, 2)
			require.NoError(k, err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				got, after = append(got, e.ID), e.ID
			}
		}
		require.Equal(k, want, got)
	}},
	{"EventsAfterUnknown", "Events after an unknown event is ErrNotFound", func(k *kit) {
		_, err := k.journal().Events(k.Context(), queue.EventFilter{}, tracking.NewID(), 1)
		require.ErrorIs(k, err, queue.ErrNotFound)
	}},
	{"EventFilter", "an event filter matches the events that meet every field that is set", func(k *kit) {
		a, b, c := event(tracking.Delivered, noon), event(tracking.Opened, noon.Add(time.Second)), event(tracking.Clicked, noon.Add(2*time.Second))
		a.Message, b.Message = tracking.NewID(), tracking.NewID()
		a.Recipient, b.Recipient = "ana@example.com", "bea@example.com"
		a.Campaign, c.Campaign = "marzo", "marzo"
		k.record(a, b, c)
		cases := []struct {
			filter queue.EventFilter
			want   []tracking.Event
		}{
			{queue.EventFilter{Message: a.Message}, []tracking.Event{a}},
			{queue.EventFilter{Recipient: "bea@example.com"}, []tracking.Event{b}},
			{queue.EventFilter{Campaign: "marzo"}, []tracking.Event{a, c}},
			{queue.EventFilter{Types: []tracking.Type{tracking.Opened, tracking.Clicked}}, []tracking.Event{b, c}},
			{queue.EventFilter{Since: b.Time}, []tracking.Event{b, c}},
			{queue.EventFilter{Until: b.Time}, []tracking.Event{a}},
			{queue.EventFilter{Since: a.Time, Until: c.Time, Campaign: "marzo"}, []tracking.Event{a}},
			{queue.EventFilter{Campaign: "abril"}, nil},
		}
		for _, c := range cases {
			require.Equal(k, c.want, k.events(c.filter), c.filter)
		}
	}},
	{"EventsOfJobs", "what an event leaves empty is filled in from its job", func(k *kit) {
		a := job(other)
		a.Stream, a.Tags, a.Meta = "boletín", []string{"vip"}, map[string]string{"user": "7"}
		k.put(a)
		bare, own := event(tracking.Opened, noon), event(tracking.Opened, noon.Add(time.Second))
		bare.Message, own.Message = a.ID, a.ID
		own.Recipient, own.Campaign, own.Stream, own.Tenant = "otra@example.org", "abril", "avisos", "umbrella"
		own.Tags, own.Meta = []string{"x"}, map[string]string{"y": "z"}
		k.record(bare, own)
		bare.Recipient, bare.Campaign, bare.Stream, bare.Tenant = a.Address, other.Campaign, a.Stream, other.Tenant
		bare.Tags, bare.Meta = a.Tags, a.Meta
		require.Equal(k, []tracking.Event{bare, own}, k.events(queue.EventFilter{}))
	}},
	{"SettleRecords", "Settle stores the events of the changes that it takes, and no others", func(k *kit) {
		a := job(example)
		k.put(a)
		lease := k.claimOne(noon, example)
		stale := done(lease, queue.Bounced)
		stale.Token++
		stale.Events = []tracking.Event{event(tracking.Bounced, noon)}
		extend := queue.Change{ID: lease.ID, Token: lease.Token, Extend: noon.Add(time.Hour), Events: []tracking.Event{event(tracking.Deferred, noon)}}
		good := done(lease, queue.Delivered)
		good.Events = []tracking.Event{event(tracking.Delivered, noon.Add(time.Second))}
		good.Events[0].Message = a.ID
		k.settle(stale)
		k.settle(extend)
		k.settle(good)
		stored := k.events(queue.EventFilter{})
		require.Len(k, stored, 2)
		require.Equal(k, extend.Events[0].ID, stored[0].ID)
		require.Equal(k, good.Events[0].ID, stored[1].ID)
		require.Equal(k, a.Address, stored[1].Recipient)
	}},
})

// suppressionRules hold for stores that keep a suppression list.
var suppressionRules = onlyFor(func(s queue.Store) bool { _, ok := s.(queue.SuppressionList); return ok }, []rule{
	{"Suppress", "Suppressed answers for each address in order, without regard to case", func(k *kit) {
		e := queue.Suppression{
			Address: "ana@example.com", Reason: bounce.BadMailbox, Detail: "550 5.1.1", Message: tracking.NewID(), Since: noon,
		}
		in := e
		in.Address = "Ana@Example.com"
		in.Since = noon.Add(time.Microsecond)
		k.suppress(in)
		got := k.suppressed("", "bea@example.com", "ANA@example.com", "ana@example.com")
		require.Equal(k, []*queue.Suppression{nil, &e, &e}, got)
	}},
	{"SuppressAgain", "an entry replaces the one of the same address and stream", func(k *kit) {
		k.suppress(queue.Suppression{Address: "ana@example.com", Reason: bounce.BadMailbox})
		k.suppress(queue.Suppression{Address: "ANA@example.com", Reason: bounce.Complaint})
		require.Equal(k, bounce.Complaint, k.suppressed("", "ana@example.com")[0].Reason)
		require.Len(k, k.suppressions(), 1)
	}},
	{"SuppressStream", "an entry of a stream holds for that stream, one without for all", func(k *kit) {
		k.suppress(queue.Suppression{Address: "ana@example.com", Stream: "boletín", Reason: bounce.OptOut},
			queue.Suppression{Address: "bea@example.com", Reason: bounce.BadMailbox})
		require.NotNil(k, k.suppressed("boletín", "ana@example.com")[0])
		require.Nil(k, k.suppressed("avisos", "ana@example.com")[0])
		require.Nil(k, k.suppressed("", "ana@example.com")[0])
		require.NotNil(k, k.suppressed("avisos", "bea@example.com")[0])
	}},
	{"SuppressUntil", "an entry ends when it says", func(k *kit) {
		k.suppress(queue.Suppression{Address: "ana@example.com", Until: noon.Add(time.Hour)})
		for _, c := range []struct {
			at   time.Duration
			want bool
		}{{0, true}, {time.Hour - time.Millisecond, true}, {time.Hour, false}} {
			got, err := k.suppressionList().Suppressed(k.Context(), "", []string{"ana@example.com"}, noon.Add(c.at))
			require.NoError(k, err)
			require.Equal(k, c.want, got[0] != nil, c.at)
		}
	}},
	{"EndedOfStream", "an entry that has ended hides none that holds", func(k *kit) {
		k.suppress(queue.Suppression{Address: "ana@example.com", Stream: "boletín", Until: noon.Add(-time.Hour)},
			queue.Suppression{Address: "ana@example.com", Reason: bounce.Complaint})
		require.NotNil(k, k.suppressed("boletín", "ana@example.com")[0])
	}},
	{"Unsuppress", "Unsuppress removes one entry, or is ErrNotFound", func(k *kit) {
		k.suppress(queue.Suppression{Address: "ana@example.com"}, queue.Suppression{Address: "ana@example.com", Stream: "boletín"})
		require.NoError(k, k.suppressionList().Unsuppress(k.Context(), "ANA@example.com", ""))
		require.ErrorIs(k, k.suppressionList().Unsuppress(k.Context(), "ana@example.com", ""), queue.ErrNotFound)
		require.Nil(k, k.suppressed("", "ana@example.com")[0])
		require.NotNil(k, k.suppressed("boletín", "ana@example.com")[0])
	}},
	{"SuppressionsByAddress", "Suppressions yields every entry by address, until yield returns false, and yield may call the store", func(k *kit) {
		k.suppress(queue.Suppression{Address: "bea@example.com"}, queue.Suppression{Address: "ana@example.com"})
		require.Equal(k, []string{"ana@example.com", "bea@example.com"}, k.suppressions())
		var n int
		require.NoError(k, k.suppressionList().Suppressions(k.Context(), func(e queue.Suppression) bool {
			n++
			require.NoError(k, k.suppressionList().Unsuppress(k.Context(), e.Address, e.Stream))
			return false
		}))
		require.Equal(k, 1, n)
	}},
	{"SuppressBadInput", "an entry without an address is refused, and those with it", func(k *kit) {
		require.Error(k, k.suppressionList().Suppress(k.Context(), []queue.Suppression{{Address: "ana@example.com"}, {}}))
		require.Empty(k, k.suppressions())
	}},
	{"Unsubscribe", "an unsubscribe event suppresses the recipient for the job's stream, and a resubscribe ends that", func(k *kit) {
		if _, ok := k.Store.(queue.Journal); !ok {
			return
		}
		a := job(example)
		a.Stream = "boletín"
		k.put(a)
		out, back := event(tracking.Unsubscribed, noon), event(tracking.Resubscribed, noon.Add(time.Second))
		out.Message, back.Message = a.ID, a.ID
		k.record(out)
		got := k.suppressed("boletín", a.Address)[0]
		require.NotNil(k, got)
		require.Equal(k, queue.Suppression{
			Address: a.Address, Stream: "boletín", Reason: bounce.OptOut, Detail: got.Detail, Message: a.ID, Since: noon,
		}, *got)
		require.Nil(k, k.suppressed("avisos", a.Address)[0])
		k.record(back)
		require.Nil(k, k.suppressed("boletín", a.Address)[0])
		k.record(out)
		require.Nil(k, k.suppressed("boletín", a.Address)[0])
	}},
})

// onlyFor makes rules that hold for some stores only.
func onlyFor(able func(queue.Store) bool, rules []rule) []rule {
	out := make([]rule, len(rules))
	for i, r := range rules {
		out[i] = rule{r.name, r.says, func(k *kit) {
			if able(k.Store) {
				r.check(k)
			}
		}}
	}
	return out
}

func event(kind tracking.Type, at time.Time) tracking.Event {
	return tracking.Event{ID: tracking.NewID(), Type: kind, Time: at}
}

func (k *kit) journal() queue.Journal { return k.Store.(queue.Journal) }

func (k *kit) record(events ...tracking.Event) {
	k.Helper()
	require.NoError(k, k.journal().Record(k.Context(), events))
}

func (k *kit) events(f queue.EventFilter) []tracking.Event {
	k.Helper()
	events, err := k.journal().Events(k.Context(), f, tracking.ID{}, 1000)
	require.NoError(k, err)
	return events
}

func (k *kit) suppressionList() queue.SuppressionList { return k.Store.(queue.SuppressionList) }

func (k *kit) suppress(entries ...queue.Suppression) {
	k.Helper()
	require.NoError(k, k.suppressionList().Suppress(k.Context(), entries))
}

func (k *kit) suppressed(stream string, addresses ...string) []*queue.Suppression {
	k.Helper()
	out, err := k.suppressionList().Suppressed(k.Context(), stream, addresses, noon)
	require.NoError(k, err)
	require.Len(k, out, len(addresses))
	return out
}

func (k *kit) suppressions() []string {
	k.Helper()
	var out []string
	require.NoError(k, k.suppressionList().Suppressions(k.Context(), func(e queue.Suppression) bool {
		out = append(out, e.Address)
		return true
	}))
	return out
}
