package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// office is a queue with all that it needs, and a server that takes its mail.
type office struct {
	*queue.Queue
	t       *testing.T
	store   *memqueue.Store
	tracker *tracking.Tracker
	server  *smtptest.Server
}

// open runs test in a bubble of its own, where time is simulated and connections
// are pipes.
func open(t *testing.T, opts *queue.Options, rules []smtptest.Rule, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.NewServer(&smtptest.Options{Network: "pipe", Rules: rules})
		defer server.Close()
		relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{Dialer: server, TLSConfig: server.ClientTLS()})
		require.NoError(t, err)
		defer relay.Close()
		store := memqueue.New(nil)
		defer store.Close()
		tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: store, ReturnPath: "rebotes.example.com"})
		require.NoError(t, err)
		q, err := queue.New(store, relay, tracker, opts)
		require.NoError(t, err)
		test(t, &office{Queue: q, t: t, store: store, tracker: tracker, server: server})
	})
}

// run runs the queue for a time.
func (o *office) run(d time.Duration) {
	ctx, stop := context.WithTimeout(o.t.Context(), d)
	defer stop()
	require.NoError(o.t, o.Run(ctx))
}

func (o *office) compile(m *tracking.Message) *tracking.Template {
	m.From = mail.Address{Name: "La carta", Address: "hola@example.com"}
	if m.Text == "" && m.HTML == "" {
		m.Text = "Hola {{nombre}}\n"
	}
	if m.Subject == "" {
		m.Subject = "Hola"
	}
	template, err := o.tracker.Compile(m)
	require.NoError(o.t, err)
	return template
}

func to(address string) tracking.Recipient {
	return tracking.Recipient{To: mail.Address{Address: address}, Fields: map[string]string{"nombre": "Ana"}}
}

// send queues one mail with the usual template.
func (o *office) send(recipients ...tracking.Recipient) []tracking.ID {
	ids, err := o.Send(o.t.Context(), o.compile(&tracking.Message{}), recipients...)
	require.NoError(o.t, err)
	return ids
}

// story is the types of a mail's events, in order.
func (o *office) story(id tracking.ID) (types []tracking.Type) {
	events, err := o.Timeline(o.t.Context(), id)
	require.NoError(o.t, err)
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

func (o *office) last(id tracking.ID) tracking.Event {
	events, err := o.Timeline(o.t.Context(), id)
	require.NoError(o.t, err)
	return events[len(events)-1]
}

func (o *office) state(id tracking.ID) queue.State {
	job, err := o.Job(o.t.Context(), id)
	require.NoError(o.t, err)
	return job.State
}

func (o *office) suppression(address string) *queue.Suppression {
	found, err := o.store.Suppressed(o.t.Context(), "", []string{address}, time.Now())
	require.NoError(o.t, err)
	return found[0]
}

func TestDelivered(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		ids := o.send(to("ana@correo.example"), to("luis@buzon.example"))
		o.run(time.Minute)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Delivered}, o.story(ids[0]))
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Delivered}, o.story(ids[1]))
		e := o.last(ids[0])
		require.Equal(t, 250, e.Code)
		require.Equal(t, 1, e.Attempt)
		require.Len(t, o.server.Messages(), 2)
	})
}

func TestSoftThenDelivered(t *testing.T) {
	rules := []smtptest.Rule{{To: "gris@*", Times: 2, Reply: "451 4.7.1 Greylisted: vuelva a intentarlo"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		started := time.Now()
		id := o.send(to("gris@correo.example"))[0]
		o.run(20 * time.Minute)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Deferred, tracking.Deferred, tracking.Delivered}, o.story(id))
		events, err := o.Timeline(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, bounce.Greylisted, events[1].Reason)
		require.Equal(t, bounce.Soft, events[1].Verdict)
		require.InDelta(t, 6*time.Minute, events[3].Time.Sub(started), float64(75*time.Second))
		require.Nil(t, o.suppression("gris@correo.example"))
	})
}

func TestReplyNamesTheDelay(t *testing.T) {
	rules := []smtptest.Rule{{To: "gris@*", Times: 1, Reply: "451 4.7.1 Greylisted, try again in 1200 seconds"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		started := time.Now()
		id := o.send(to("gris@correo.example"))[0]
		o.run(time.Hour)
		require.WithinRange(t, o.last(id).Time, started.Add(20*time.Minute), started.Add(21*time.Minute))
	})
}

func TestHardBounceSuppresses(t *testing.T) {
	rules := []smtptest.Rule{{To: "nadie@*", Reply: "550 5.1.1 El usuario no existe"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		id := o.send(to("nadie@correo.example"))[0]
		o.run(time.Minute)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Bounced}, o.story(id))
		require.Equal(t, bounce.BadMailbox, o.last(id).Reason)
		require.Equal(t, bounce.Hard, o.last(id).Verdict)
		require.Equal(t, bounce.BadMailbox, o.suppression("NADIE@correo.example").Reason)

		again := o.send(to("nadie@correo.example"))[0]
		o.run(time.Minute)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Rejected}, o.story(again))
		require.Equal(t, bounce.Suppressed, o.last(again).Reason)
		require.Equal(t, queue.Cancelled, o.state(again))
	})
}

// TestBlockSuppressesNobody: a refusal of the sender is not the recipient's doing.
func TestBlockSuppressesNobody(t *testing.T) {
	for _, reply := range []string{
		"550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using Spamhaus",
		"554 5.7.1 Message rejected due to SPF policy",
		"550 5.7.26 This mail is unauthenticated",
		"552 5.2.2 Mailbox full",
		"554 5.7.0 Spam message rejected",
	} {
		t.Run(reply, func(t *testing.T) {
			open(t, nil, []smtptest.Rule{{Reply: reply}}, func(t *testing.T, o *office) {
				id := o.send(to("ana@correo.example"))[0]
				o.run(time.Hour)
				require.NotEqual(t, bounce.Hard, o.last(id).Verdict)
				require.Nil(t, o.suppression("ana@correo.example"))
			})
		})
	}
}

func TestSuppressAfterSoftBounces(t *testing.T) {
	rules := []smtptest.Rule{{To: "lleno@*", Reply: "552 5.2.2 Buzón lleno"}}
	open(t, &queue.Options{SuppressAfter: 3}, rules, func(t *testing.T, o *office) {
		for i := range 3 {
			require.Nil(t, o.suppression("lleno@correo.example"), "before mail %d", i)
			o.send(to("lleno@correo.example"))
			o.run(time.Minute)
		}
		entry := o.suppression("lleno@correo.example")
		require.Equal(t, bounce.MailboxFull, entry.Reason)
		require.False(t, entry.Until.IsZero(), "it ends some day")
	})
}

func TestLifetimeEnds(t *testing.T) {
	rules := []smtptest.Rule{{Reply: "451 4.3.0 Mal día"}}
	open(t, &queue.Options{Lifetime: 3 * time.Hour}, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(4 * time.Hour)
		e := o.last(id)
		require.Equal(t, tracking.Bounced, e.Type)
		require.Equal(t, bounce.Expired, e.Reason)
		require.Equal(t, bounce.Soft, e.Verdict)
		require.Contains(t, e.Diagnostic, "Mal día", "the last real answer is told")
		require.Equal(t, queue.Bounced, o.state(id))
	})
}

func TestScheduledMailWaits(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		at := time.Now().Add(36 * time.Hour)
		n, err := o.SendAll(t.Context(), &queue.Mailing{Template: o.compile(&tracking.Message{}), NotBefore: at}, slices.Values([]tracking.Recipient{to("ana@correo.example")}))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		o.run(48 * time.Hour)
		received := o.server.Messages()
		require.Len(t, received, 1)
		require.WithinRange(t, received[0].Time, at, at.Add(2*time.Second))
		m, err := mail.ReadMessage(strings.NewReader(string(received[0].Data)))
		require.NoError(t, err)
		date, err := m.Header.Date()
		require.NoError(t, err)
		require.WithinDuration(t, at, date, time.Second, "the Date is when it may be sent first")
	})
}

func TestExpiredBeforeTheFirstAttempt(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		_, err := o.SendAll(t.Context(), &queue.Mailing{Template: o.compile(&tracking.Message{}), Expires: time.Now().Add(time.Minute)}, slices.Values([]tracking.Recipient{to("ana@correo.example")}))
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		o.run(time.Minute)
		require.Empty(t, o.server.Messages())
		jobs, err := o.Jobs(t.Context(), queue.Filter{}, tracking.ID{}, 10)
		require.NoError(t, err)
		require.Equal(t, queue.Cancelled, jobs[0].State)
		require.Equal(t, bounce.Expired, o.last(jobs[0].ID).Reason)
	})
}

func TestIdempotencyKey(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		r := to("ana@correo.example")
		r.Key = "bienvenida/42"
		first := o.send(r)
		require.Equal(t, first, o.send(r), "the same key is the same mail")
		r.Fields = map[string]string{"nombre": "Luis"}
		_, err := o.Send(t.Context(), o.compile(&tracking.Message{}), r)
		var keyed *queue.KeyError
		require.ErrorAs(t, err, &keyed)
		require.Equal(t, first[0], keyed.First)
		require.ErrorContains(t, err, "bienvenida/42")
		o.run(time.Minute)
		require.Len(t, o.server.Messages(), 1)
	})
}

// TestRetryIsTheSameBytes: receivers can recognise a repetition.
func TestRetryIsTheSameBytes(t *testing.T) {
	rules := []smtptest.Rule{{On: smtptest.End, Times: 1, Do: smtptest.Drop}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Hour)
		received := o.server.Messages()
		require.Len(t, received, 2, "stored, not acknowledged, and sent again")
		require.Equal(t, string(received[0].Data), string(received[1].Data))
		require.Equal(t, received[0].From, received[1].From)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Deferred, tracking.Delivered}, o.story(id))
	})
}

func TestIndeterminateCanStop(t *testing.T) {
	rules := []smtptest.Rule{{On: smtptest.End, Do: smtptest.Drop}}
	open(t, &queue.Options{Indeterminate: queue.StopIndeterminate}, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Hour)
		require.Len(t, o.server.Messages(), 1)
		require.Equal(t, bounce.Unknown, o.last(id).Verdict)
		require.Equal(t, queue.Bounced, o.state(id))
	})
}

// TestBlockedDestinationWaits: when a provider blocks the sender, its mail waits
// and is not bounced one by one.
func TestBlockedDestinationWaits(t *testing.T) {
	rules := []smtptest.Rule{{To: "*@bloqueo.example", Reply: "550 5.7.1 IP 192.0.2.1 is on our block list (S3140)"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		var blocked []tracking.Recipient
		for i := range 200 {
			blocked = append(blocked, to(fmt.Sprintf("a%d@bloqueo.example", i)))
		}
		ids := o.send(blocked...)
		other := o.send(to("ana@correo.example"))[0]
		o.run(30 * time.Minute)
		require.Equal(t, queue.Delivered, o.state(other))
		attempts := 0
		for _, id := range ids {
			require.Equal(t, queue.Ready, o.state(id))
			attempts += len(o.story(id)) - 1
		}
		require.Less(t, attempts, 60, "the destination rests, after a few tries")
		i := slices.IndexFunc(o.Pools(), func(p queue.Pool) bool { return p.Name == "bloqueo.example" })
		require.GreaterOrEqual(t, i, 0)
		require.Contains(t, o.Pools()[i].Why, "block list")
		o.server.Script()
		o.run(24 * time.Hour)
		for _, id := range ids {
			require.Equal(t, queue.Delivered, o.state(id))
		}
	})
}

func TestRelayIsDown(t *testing.T) {
	rules := []smtptest.Rule{{On: smtptest.Connect, Times: 20, Reply: "421 4.3.2 Cerrado"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		ids := o.send(to("ana@correo.example"), to("luis@buzon.example"), to("eva@cartas.example"))
		o.run(3 * time.Hour)
		for _, id := range ids {
			require.Equal(t, queue.Delivered, o.state(id))
			require.Equal(t, 1, o.last(id).Attempt, "an attempt that reached nobody does not count")
		}
	})
}

func TestHoldReleaseCancel(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		news := o.compile(&tracking.Message{Campaign: "otoño"})
		ids, err := o.Send(t.Context(), news, to("ana@correo.example"), to("luis@correo.example"))
		require.NoError(t, err)
		n, err := o.Apply(t.Context(), queue.Filter{Campaign: "otoño"}, queue.Hold)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		late, err := o.Send(t.Context(), news, to("eva@correo.example"))
		require.NoError(t, err)
		o.run(time.Hour)
		require.Empty(t, o.server.Messages(), "a hold also holds what comes later")
		_, err = o.Apply(t.Context(), queue.Filter{IDs: ids[:1]}, queue.Cancel)
		require.NoError(t, err)
		_, err = o.Apply(t.Context(), queue.Filter{Campaign: "otoño"}, queue.Release)
		require.NoError(t, err)
		o.run(time.Hour)
		require.Equal(t, queue.Cancelled, o.state(ids[0]))
		require.Equal(t, queue.Delivered, o.state(ids[1]))
		require.Equal(t, queue.Delivered, o.state(late[0]))
	})
}

func TestRetryWhatFailed(t *testing.T) {
	rules := []smtptest.Rule{{To: "ana@*", Times: 1, Reply: "554 5.6.0 Contenido rechazado"}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Minute)
		require.Equal(t, queue.Bounced, o.state(id))
		n, err := o.Apply(t.Context(), queue.Filter{States: []queue.State{queue.Bounced}}, queue.Retry)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		o.run(time.Minute)
		require.Equal(t, queue.Delivered, o.state(id))
	})
}

func TestRetryAfterTheLifetime(t *testing.T) {
	rules := []smtptest.Rule{{Times: 4, Reply: "451 4.3.0 Mal día"}}
	open(t, &queue.Options{Lifetime: 10 * time.Minute}, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Hour)
		require.Equal(t, queue.Bounced, o.state(id))
		_, err := o.Apply(t.Context(), queue.Filter{IDs: []tracking.ID{id}}, queue.Retry)
		require.NoError(t, err)
		o.run(time.Minute)
		require.Equal(t, tracking.Bounced, o.last(id).Type, "one more attempt, which failed too")
		require.Len(t, o.story(id), 5)
		_, err = o.Apply(t.Context(), queue.Filter{IDs: []tracking.ID{id}}, queue.Retry)
		require.NoError(t, err)
		o.run(time.Minute)
		require.Equal(t, queue.Delivered, o.state(id))
	})
}

// TestDrain: when Run's context ends, attempts under way are finished and stored.
func TestDrain(t *testing.T) {
	rules := []smtptest.Rule{{On: smtptest.End, Delay: 10 * time.Second}}
	open(t, nil, rules, func(t *testing.T, o *office) {
		var recipients []tracking.Recipient
		for i := range 100 {
			recipients = append(recipients, to(fmt.Sprintf("a%d@correo.example", i)))
		}
		ids := o.send(recipients...)
		started := time.Now()
		o.run(5 * time.Second)
		require.Less(t, time.Since(started), 16*time.Second)
		received := len(o.server.Messages())
		require.NotZero(t, received)
		delivered := 0
		for _, id := range ids {
			if o.state(id) == queue.Delivered {
				delivered++
			}
		}
		require.Equal(t, received, delivered, "what was sent is stored as delivered")
	})
}

// TestDrainEnds: an attempt that hangs does not keep Run for ever.
func TestDrainEnds(t *testing.T) {
	rules := []smtptest.Rule{{On: smtptest.Rcpt, Do: smtptest.Hang}}
	open(t, &queue.Options{DrainTimeout: 3 * time.Second}, rules, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		started := time.Now()
		o.run(5 * time.Second)
		require.Less(t, time.Since(started), 10*time.Second)
		require.Equal(t, queue.Ready, o.state(id), "it is tried again")
		o.server.Script()
		o.run(time.Hour)
		require.Equal(t, queue.Delivered, o.state(id))
	})
}

func TestRunTwice(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		go o.run(time.Minute)
		synctest.Wait()
		require.ErrorContains(t, o.Run(t.Context()), "running already")
		time.Sleep(2 * time.Minute)
	})
}

func TestHangingServerDelaysNoOther(t *testing.T) {
	rules := []smtptest.Rule{{To: "*@lento.example", Do: smtptest.Hang}}
	open(t, &queue.Options{Shaping: queue.Shaping{Lane: queue.Limit{Connections: 2}}}, rules, func(t *testing.T, o *office) {
		for i := range 50 {
			o.send(to(fmt.Sprintf("a%d@lento.example", i)))
		}
		started := time.Now()
		id := o.send(to("ana@correo.example"))[0]
		o.run(10 * time.Second)
		require.WithinRange(t, o.last(id).Time, started, started.Add(time.Second))
	})
}

func TestDailyLimitHoldsForAll(t *testing.T) {
	open(t, &queue.Options{Shaping: queue.Shaping{Total: queue.Limit{PerDay: 50}}}, nil, func(t *testing.T, o *office) {
		var recipients []tracking.Recipient
		for i := range 120 {
			recipients = append(recipients, to(fmt.Sprintf("a%d@d%d.example", i, i%7)))
		}
		o.send(recipients...)
		o.run(23 * time.Hour)
		require.Len(t, o.server.Messages(), 50)
		o.run(26 * time.Hour)
		require.Len(t, o.server.Messages(), 100)
	})
}

func TestBadInputIsRefused(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		template := o.compile(&tracking.Message{})
		_, err := o.Send(t.Context(), template, to("ana@correo.example"), to("luis@@correo"))
		require.ErrorContains(t, err, "recipient 2")
		require.ErrorContains(t, err, "luis@@correo")
		without := to("eva@correo.example")
		without.Fields = nil
		_, err = o.Send(t.Context(), template, without)
		require.ErrorContains(t, err, "nombre")
		require.ErrorContains(t, err, "eva@correo.example")
		_, err = o.SendAll(t.Context(), &queue.Mailing{}, slices.Values([]tracking.Recipient{}))
		require.ErrorContains(t, err, "Template")
		_, err = o.SendAll(t.Context(), &queue.Mailing{Template: template, Expires: time.Now().Add(-time.Hour)}, slices.Values([]tracking.Recipient{}))
		require.ErrorContains(t, err, "expires")
		stats, err := o.Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, stats.ByState[queue.Ready])
	})
}

func TestNewNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := queue.New(nil, nil, nil, &queue.Options{
		Concurrency: -1, Lifetime: -1, Retry: []time.Duration{0},
		Shaping: queue.Shaping{Lane: queue.Limit{PerHour: -5}, Providers: []queue.Provider{{Domains: []string{"a b.example"}}}},
	})
	for _, want := range []string{"store", "transport", "tracker", "Concurrency", "Lifetime", "Retry[0]", "Shaping.Lane.PerHour is -5", "Providers[0]", `domain "a b.example"`} {
		require.ErrorContains(t, err, want)
	}
}

// returned makes the report about a mail, as its own server would address it.
func returned(o *office, kind bounce.Kind, r bounce.Recipient) *bounce.Report {
	return &bounce.Report{Kind: kind, ID: "aviso@mx.example", To: []string{o.server.Messages()[0].From}, Recipients: []bounce.Recipient{r}}
}

func TestReturnedMail(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Minute)
		gone := bounce.Recipient{Final: "ana@correo.example", Status: bounce.Status{5, 1, 1}, Classification: bounce.Classification{Reason: bounce.BadMailbox, Verdict: bounce.Hard}}
		report := returned(o, bounce.KindBounce, gone)
		require.NoError(t, o.Report(t.Context(), report))
		require.NoError(t, o.Report(t.Context(), report), "twice is once")
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Delivered, tracking.Bounced}, o.story(id))
		require.Equal(t, bounce.BadMailbox, o.suppression("ana@correo.example").Reason)
	})
}

func TestReturnedMailOfAForwarder(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		o.send(to("ana@correo.example"))
		o.run(time.Minute)
		gone := bounce.Recipient{Final: "otra@buzon.example", Classification: bounce.Classification{Reason: bounce.BadMailbox, Verdict: bounce.Hard}}
		require.NoError(t, o.Report(t.Context(), returned(o, bounce.KindBounce, gone)))
		require.Nil(t, o.suppression("ana@correo.example"), "she forwards; her address works")
		require.Nil(t, o.suppression("otra@buzon.example"), "we never wrote there")
	})
}

func TestForgedReport(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		o.send(to("ana@correo.example"))
		o.run(time.Minute)
		gone := bounce.Recipient{Final: "ana@correo.example", Classification: bounce.Classification{Reason: bounce.BadMailbox, Verdict: bounce.Hard}}
		report := returned(o, bounce.KindBounce, gone)
		report.To = []string{"rebotes@rebotes.example.com", "b+inventado@rebotes.example.com"}
		require.ErrorIs(t, o.Report(t.Context(), report), queue.ErrUnproven)
		require.Nil(t, o.suppression("ana@correo.example"))
	})
}

func TestComplaint(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Minute)
		require.NoError(t, o.Report(t.Context(), returned(o, bounce.KindComplaint, bounce.Recipient{})))
		require.Equal(t, tracking.Complained, o.last(id).Type)
		require.Equal(t, bounce.Complaint, o.suppression("ana@correo.example").Reason)
	})
}

// TestProviderReportsLeaving: an unsubscription that a provider's webhook tells of
// holds for the stream, as one of our own does.
func TestProviderReportsLeaving(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		ids, err := o.Send(t.Context(), o.compile(&tracking.Message{Stream: "novedades"}), to("ana@correo.example"))
		require.NoError(t, err)
		o.run(time.Minute)
		left := bounce.Recipient{Final: "ana@correo.example", Classification: bounce.Classification{Reason: bounce.OptOut}}
		require.NoError(t, o.Report(t.Context(), returned(o, bounce.KindComplaint, left)))
		require.Equal(t, tracking.Unsubscribed, o.last(ids[0]).Type)
		found, err := o.store.Suppressed(t.Context(), "novedades", []string{"ana@correo.example"}, time.Now())
		require.NoError(t, err)
		require.Equal(t, bounce.OptOut, found[0].Reason)
		require.Nil(t, o.suppression("ana@correo.example"), "only that stream")
	})
}

// failing is a store whose Settle and Claim fail for a while: a full disk.
type failing struct {
	*memqueue.Store
	until time.Time
}

var errDisk = errors.New("no space left on device")

func (f *failing) Settle(ctx context.Context, c []queue.Change) ([]tracking.ID, error) {
	if time.Now().Before(f.until) {
		return nil, errDisk
	}
	return f.Store.Settle(ctx, c)
}

func (f *failing) Claim(ctx context.Context, now, until time.Time, c []queue.FlowClaim) ([]queue.Lease, error) {
	if now.Before(f.until.Add(-time.Minute)) {
		return nil, errDisk
	}
	return f.Store.Claim(ctx, now, until, c)
}

func TestStoreFailsForAWhile(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		relay, err := smtp.NewRelay(o.server.URL(), &smtp.RelayOptions{Dialer: o.server, TLSConfig: o.server.ClientTLS()})
		require.NoError(t, err)
		defer relay.Close()
		q, err := queue.New(&failing{o.store, time.Now().Add(3 * time.Minute)}, relay, o.tracker, nil)
		require.NoError(t, err)
		o.Queue = q
		id := o.send(to("ana@correo.example"))[0]
		o.run(10 * time.Minute)
		require.Equal(t, queue.Delivered, o.state(id))
		require.Len(t, o.server.Messages(), 1, "the outcome was kept until it could be stored")
	})
}

// TestUnsubscribed goes the whole way: the URL in the header, a POST, and the next
// mail of that stream is not sent, though another stream's is.
func TestUnsubscribed(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		news := o.compile(&tracking.Message{Stream: "novedades"})
		_, err := o.Send(t.Context(), news, to("ana@correo.example"))
		require.NoError(t, err)
		o.run(time.Minute)
		m, err := mail.ReadMessage(strings.NewReader(string(o.server.Messages()[0].Data)))
		require.NoError(t, err)
		url, _, _ := strings.Cut(strings.TrimPrefix(m.Header.Get("List-Unsubscribe"), "<"), ">")
		post := httptest.NewRequest(http.MethodPost, url, strings.NewReader("List-Unsubscribe=One-Click"))
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		o.tracker.ServeHTTP(answer, post)
		require.Equal(t, http.StatusOK, answer.Code)

		again, err := o.Send(t.Context(), news, to("ana@correo.example"))
		require.NoError(t, err)
		receipt, err := o.Send(t.Context(), o.compile(&tracking.Message{Stream: tracking.Transactional}), to("ana@correo.example"))
		require.NoError(t, err)
		o.run(time.Minute)
		require.Equal(t, tracking.Rejected, o.last(again[0]).Type)
		require.Equal(t, tracking.Delivered, o.last(receipt[0]).Type)
	})
}

func TestSuppressionsAsCSV(t *testing.T) {
	open(t, nil, nil, func(t *testing.T, o *office) {
		list := "email,reason,stream,until\nana@correo.example,bad-mailbox,,\n\"luis@correo.example\",,novedades,2030-01-02T03:04:05Z\n"
		n, err := queue.ImportSuppressions(t.Context(), o.store, strings.NewReader(list))
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, bounce.BadMailbox, o.suppression("ana@correo.example").Reason)
		require.Nil(t, o.suppression("luis@correo.example"), "only that stream")
		out := &strings.Builder{}
		require.NoError(t, queue.ExportSuppressions(t.Context(), o.store, out))
		require.Contains(t, out.String(), "luis@correo.example,novedades,opt-out,,2000-01-01T00:00:00Z,2030-01-02T03:04:05Z\n")
		other := memqueue.New(nil)
		defer other.Close()
		n, err = queue.ImportSuppressions(t.Context(), other, strings.NewReader(out.String()))
		require.NoError(t, err)
		require.Equal(t, 2, n)

		for list, want := range map[string]string{
			"":              "header",
			"nombre\nAna\n": "no column address",
			"address,reason\na@b.example,\nc@d.example,mala-suerte\n": "line 3: bounce: unknown reason \"mala-suerte\"",
			"address\n\"\"\n":                     "line 2: the address is empty",
			"address,until\na@b.example,mañana\n": "line 2",
		} {
			_, err := queue.ImportSuppressions(t.Context(), other, strings.NewReader(list))
			require.ErrorContains(t, err, want)
		}
	})
}

// TestNothingSecretIsLogged: lines name jobs, not people's mail.
func TestNothingSecretIsLogged(t *testing.T) {
	out := &strings.Builder{}
	opts := &queue.Options{Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	rules := []smtptest.Rule{{On: smtptest.Connect, Times: 4, Reply: "421 4.3.2 Cerrado por obras"}}
	open(t, opts, rules, func(t *testing.T, o *office) {
		r := to("ana@correo.example")
		r.Fields["nombre"] = "SECRETO"
		id := o.send(r)[0]
		o.run(time.Hour)
		require.Equal(t, queue.Delivered, o.state(id))
		require.Contains(t, out.String(), id.String())
		require.Contains(t, out.String(), "destination suspended", "and says until when, and why")
		require.Contains(t, out.String(), "Cerrado por obras")
		require.NotContains(t, out.String(), "SECRETO")
		require.NotContains(t, out.String(), "ana@correo.example")
	})
}
