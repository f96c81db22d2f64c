package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// carrier is a transport made of a function, for one recipient.
type carrier func(ctx context.Context, m *smtp.Message) smtp.Outcome

func (c carrier) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	result := &smtp.Result{Recipients: []smtp.Outcome{c(ctx, m)}}
	return result, result.Err()
}

func accept(context.Context, *smtp.Message) smtp.Outcome {
	return smtp.Outcome{Status: smtp.Accepted, Reply: smtp.Reply{Code: 250}}
}

// openWith is open with another transport, and another store around the office's.
func openWith(t *testing.T, transport smtp.Transport, around func(*memqueue.Store) queue.Store, opts *queue.Options, test func(t *testing.T, o *office)) {
	t.Helper()
	open(t, nil, nil, func(t *testing.T, o *office) {
		store := queue.Store(o.store)
		if around != nil {
			store = around(o.store)
		}
		q, err := queue.New(store, transport, o.tracker, opts)
		require.NoError(t, err)
		o.Queue = q
		test(t, o)
	})
}

func TestPanicsOfTheHostAreSurvived(t *testing.T) {
	var sends, records, lookUps atomic.Int64
	opts := &queue.Options{
		Shaping: queue.Shaping{MX: func(context.Context, string) ([]string, error) { lookUps.Add(1); panic("MX") }},
		Sink:    tracking.SinkFunc(func(context.Context, []tracking.Event) error { records.Add(1); panic("Sink") }),
	}
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		if sends.Add(1) == 1 {
			panic("Transport")
		}
		return accept(ctx, m)
	})
	openWith(t, transport, nil, opts, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Hour)
		require.Equal(t, []tracking.Type{tracking.Queued, tracking.Deferred, tracking.Delivered}, o.story(id))
		require.EqualValues(t, 2, sends.Load())
		require.EqualValues(t, 2, records.Load())
		require.NotZero(t, lookUps.Load())
	})
}

// TestPanicMayHaveSent: who repeats nothing does not repeat that either.
func TestPanicMayHaveSent(t *testing.T) {
	transport := carrier(func(context.Context, *smtp.Message) smtp.Outcome { panic("Transport") })
	openWith(t, transport, nil, &queue.Options{Indeterminate: queue.StopIndeterminate}, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Hour)
		require.Equal(t, queue.Bounced, o.state(id))
		require.Equal(t, bounce.Unknown, o.last(id).Verdict)
	})
}

// TestSinkHearsWhatWasSettledUnanswered: an outcome whose storing seemed to fail, and
// which was stored, reaches the sink all the same.
func TestSinkHearsWhatWasSettledUnanswered(t *testing.T) {
	var heard []tracking.Type
	opts := &queue.Options{Sink: tracking.SinkFunc(func(_ context.Context, events []tracking.Event) error {
		for _, e := range events {
			heard = append(heard, e.Type)
		}
		return nil
	})}
	around := func(s *memqueue.Store) queue.Store { return &mute{Store: s} }
	openWith(t, carrier(accept), around, opts, func(t *testing.T, o *office) {
		o.send(to("ana@correo.example"))
		o.run(time.Hour)
		require.Equal(t, []tracking.Type{tracking.Delivered}, heard)
	})
}

// mute is a store that settles once without saying so.
type mute struct {
	*memqueue.Store
	settled atomic.Bool
}

func (m *mute) Settle(ctx context.Context, c []queue.Change) ([]tracking.ID, error) {
	stale, err := m.Store.Settle(ctx, c)
	if !m.settled.Swap(true) {
		return nil, errDisk
	}
	return stale, err
}

// TestOutcomeOutlivesTheLease: a store that cannot settle for longer than a lease
// lasts does not make the mail go out twice.
func TestOutcomeOutlivesTheLease(t *testing.T) {
	var sends atomic.Int64
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		sends.Add(1)
		return accept(ctx, m)
	})
	around := func(s *memqueue.Store) queue.Store { return &deaf{Store: s, until: time.Now().Add(3 * time.Hour)} }
	openWith(t, transport, around, nil, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(4 * time.Hour)
		require.Equal(t, queue.Delivered, o.state(id))
		require.EqualValues(t, 1, sends.Load())
	})
}

// deaf is a store that cannot settle until a time.
type deaf struct {
	*memqueue.Store
	until time.Time
}

func (d *deaf) Settle(ctx context.Context, c []queue.Change) ([]tracking.ID, error) {
	if time.Now().Before(d.until) {
		return nil, errDisk
	}
	return d.Store.Settle(ctx, c)
}

// TestStoreThatHangs: Run ends although the store does not answer.
func TestStoreThatHangs(t *testing.T) {
	around := func(s *memqueue.Store) queue.Store { return &stuck{Store: s} }
	openWith(t, carrier(accept), around, &queue.Options{DrainTimeout: 5 * time.Second}, func(t *testing.T, o *office) {
		o.send(to("ana@correo.example"))
		started := time.Now()
		o.run(time.Minute)
		require.Less(t, time.Since(started), 2*time.Minute)
	})
}

// stuck is a store whose Settle waits for the end of its context.
type stuck struct{ *memqueue.Store }

func (s *stuck) Settle(ctx context.Context, _ []queue.Change) ([]tracking.ID, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// slow is a store that takes a while to list its flows.
type slow struct{ *memqueue.Store }

func (s *slow) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	time.Sleep(200 * time.Millisecond)
	return s.Store.Flows(ctx, yield)
}

// TestFullAndSlow: with every attempt under way and a slow store, Run waits. In a
// bubble a Run that spins would stop time.
func TestFullAndSlow(t *testing.T) {
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		time.Sleep(time.Minute)
		return accept(ctx, m)
	})
	around := func(s *memqueue.Store) queue.Store { return &slow{s} }
	openWith(t, transport, around, &queue.Options{Concurrency: 1}, func(t *testing.T, o *office) {
		ids := o.send(to("ana@correo.example"), to("luis@buzon.example"))
		o.run(5 * time.Minute)
		for _, id := range ids {
			require.Equal(t, queue.Delivered, o.state(id))
		}
	})
}

// miser is a store whose meter grants nothing for an hour, and never says when to
// ask again.
type miser struct {
	*memqueue.Store
	until time.Time
	asked atomic.Int64
}

func (m *miser) Take(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
	m.asked.Add(1)
	if now.Before(m.until) {
		return 0, time.Time{}, nil
	}
	return m.Store.Take(ctx, w, n, now)
}

func TestMeterThatNamesNoTime(t *testing.T) {
	var meter *miser
	around := func(s *memqueue.Store) queue.Store {
		meter = &miser{Store: s, until: time.Now().Add(time.Hour)}
		return meter
	}
	openWith(t, carrier(accept), around, &queue.Options{Shaping: queue.Shaping{Total: queue.Limit{PerDay: 100}}}, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(2 * time.Hour)
		require.Equal(t, queue.Delivered, o.state(id))
		require.Less(t, meter.asked.Load(), int64(4000), "once a second is enough")
	})
}

// direct is a transport that delivers to mail hosts of its own knowledge.
type direct struct {
	carrier
	hosts func(ctx context.Context, domain string) ([]string, error)
}

func (d *direct) MailHosts(ctx context.Context, domain string) ([]string, error) {
	return d.hosts(ctx, domain)
}

// TestHangingUpIsNoAttempt: what Run had not sent when it had to end goes back as it
// was, and the destination is not blamed.
func TestHangingUpIsNoAttempt(t *testing.T) {
	transport := &direct{
		carrier: func(ctx context.Context, _ *smtp.Message) smtp.Outcome {
			<-ctx.Done()
			return smtp.Outcome{Status: smtp.Deferred, Err: &smtp.Error{Phase: smtp.PhaseConnect, Err: ctx.Err()}}
		},
		hosts: func(context.Context, string) ([]string, error) { return []string{"mx.correo.example"}, nil },
	}
	openWith(t, transport, nil, &queue.Options{DrainTimeout: time.Second}, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		started := time.Now()
		o.run(time.Minute)
		job, err := o.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Ready, job.State)
		require.Zero(t, job.Attempts)
		require.Equal(t, []tracking.Type{tracking.Queued}, o.story(id))
		require.False(t, job.Due.After(started.Add(62*time.Second)), "it is due at once")
		for _, p := range o.Pools() {
			require.Zero(t, p.Suspended)
			require.Zero(t, p.Sending)
		}
	})
}

// TestMailHostsShapeLanes: domains that a provider hosts share its limit from the
// first mail on, whatever their number, and one whose look-up hangs delays no other.
func TestMailHostsShapeLanes(t *testing.T) {
	var sending, most, others atomic.Int64
	transport := &direct{
		carrier: func(ctx context.Context, m *smtp.Message) smtp.Outcome {
			if !strings.Contains(m.To[0].Addr, "@empresa") {
				others.Add(1)
				return accept(ctx, m)
			}
			most.Store(max(most.Load(), sending.Add(1)))
			time.Sleep(time.Second)
			sending.Add(-1)
			return accept(ctx, m)
		},
		hosts: func(ctx context.Context, domain string) ([]string, error) {
			switch domain {
			case "colgado.example":
				<-ctx.Done()
				return nil, ctx.Err()
			case "aparte.example":
				return []string{"mx.aparte.example"}, nil
			}
			time.Sleep(100 * time.Millisecond)
			return []string{"mx7.Grande.example."}, nil
		},
	}
	shaping := queue.Shaping{Providers: []queue.Provider{{Name: "grande", MX: []string{".grande.example"}, Limit: queue.Limit{Connections: 3}}}}
	openWith(t, transport, nil, &queue.Options{Shaping: shaping}, func(t *testing.T, o *office) {
		hung := o.send(to("ana@colgado.example"))[0]
		for i := range 60 {
			o.send(to(fmt.Sprintf("ana@empresa%d.example", i)))
		}
		o.send(to("eva@aparte.example"))
		o.run(5 * time.Second)
		require.EqualValues(t, 1, others.Load())
		require.Equal(t, queue.Ready, o.state(hung))
		o.run(time.Minute)
		require.EqualValues(t, 2, others.Load())
		require.EqualValues(t, 3, most.Load())
		require.Equal(t, queue.Delivered, o.state(hung), "shaped by its domain, when no hosts are found")
		stats, err := o.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, 62, stats.ByState[queue.Delivered])

		most.Store(0) // and the next day's mail too
		for i := range 60 {
			o.send(to(fmt.Sprintf("ana@empresa%d.example", i)))
		}
		o.run(time.Minute)
		require.EqualValues(t, 3, most.Load())
	})
}

// lost is a store that has lost its templates, or cannot look its suppression list
// up.
type lost struct {
	*memqueue.Store
	template, suppressed, suppress error
}

func (l *lost) Template(ctx context.Context, h queue.Hash) ([]byte, error) {
	if l.template != nil {
		return nil, l.template
	}
	return l.Store.Template(ctx, h)
}

func (l *lost) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*queue.Suppression, error) {
	if l.suppressed != nil {
		return nil, l.suppressed
	}
	return l.Store.Suppressed(ctx, stream, addresses, now)
}

func (l *lost) Suppress(ctx context.Context, entries []queue.Suppression) error {
	if err := l.suppress; err != nil {
		l.suppress = nil // once
		return err
	}
	return l.Store.Suppress(ctx, entries)
}

// TestUnpreparedMailExpires: mail that cannot be prepared is neither sent nor tried
// for ever.
func TestUnpreparedMailExpires(t *testing.T) {
	for name, fault := range map[string]lost{
		"Template":   {template: queue.ErrNotFound},
		"Suppressed": {suppressed: errDisk},
	} {
		t.Run(name, func(t *testing.T) {
			around := func(s *memqueue.Store) queue.Store { return &lost{s, fault.template, fault.suppressed, nil} }
			transport := carrier(func(context.Context, *smtp.Message) smtp.Outcome { panic("sent") })
			openWith(t, transport, around, &queue.Options{Lifetime: 90*time.Minute + 30*time.Second}, func(t *testing.T, o *office) {
				other, err := queue.New(o.store, transport, o.tracker, nil) // so that nothing is in memory
				require.NoError(t, err)
				expires := time.Now().Add(90*time.Minute + 30*time.Second)
				_, err = other.SendAll(t.Context(), &queue.Mailing{Template: o.compile(&tracking.Message{}), Expires: expires}, slices.Values([]tracking.Recipient{to("ana@correo.example")}))
				require.NoError(t, err)
				o.run(3 * time.Hour)
				jobs, err := o.Jobs(t.Context(), queue.Filter{}, tracking.ID{}, 1)
				require.NoError(t, err)
				require.Equal(t, queue.Cancelled, jobs[0].State)
				e := o.last(jobs[0].ID)
				require.Equal(t, bounce.Expired, e.Reason)
				require.WithinRange(t, e.Time, expires.Add(-time.Second), expires.Add(2*time.Second))
			})
		})
	}
}

// TestSuppressionIsRepeated: a store that fails at that moment does not make us
// write to a dead address again.
func TestSuppressionIsRepeated(t *testing.T) {
	transport := smtptest.NewRecorder(smtptest.Rule{Reply: "550 5.1.1 El usuario no existe"})
	around := func(s *memqueue.Store) queue.Store { return &lost{s, nil, nil, errors.New("locked")} }
	openWith(t, transport, around, nil, func(t *testing.T, o *office) {
		id := o.send(to("ana@correo.example"))[0]
		o.run(time.Minute)
		require.Equal(t, queue.Bounced, o.state(id))
		require.NotNil(t, o.suppression("ana@correo.example"))
	})
}

// TestTemplateOfAnotherTracker is rendered by the queue's, at once as after a
// restart.
func TestTemplateOfAnotherTracker(t *testing.T) {
	recorder := smtptest.NewRecorder()
	openWith(t, recorder, nil, nil, func(t *testing.T, o *office) {
		other, err := tracking.New("https://otro.example", []tracking.Key{tracking.NewKey(2)}, &tracking.Options{ReturnPath: "otro.example"})
		require.NoError(t, err)
		template, err := other.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Hola"})
		require.NoError(t, err)
		_, err = o.Send(t.Context(), template, to("ana@correo.example"))
		require.NoError(t, err)
		o.run(time.Minute)
		require.Len(t, recorder.Messages(), 1)
		require.True(t, strings.HasSuffix(recorder.Messages()[0].From, "@rebotes.example.com"), recorder.Messages()[0].From)
	})
}

// TestTransactionalBeforeBulkEndToEnd: a receipt passes ten thousand newsletters
// that were queued before it, to the same domain.
func TestTransactionalBeforeBulkEndToEnd(t *testing.T) {
	var order []string
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		order = append(order, m.To[0].Addr)
		time.Sleep(10 * time.Millisecond)
		return accept(ctx, m)
	})
	openWith(t, transport, nil, &queue.Options{Shaping: queue.Shaping{Lane: queue.Limit{Connections: 1}}}, func(t *testing.T, o *office) {
		news := o.compile(&tracking.Message{})
		_, err := o.SendAll(t.Context(), &queue.Mailing{Template: news}, many(10_000, "correo.example"))
		require.NoError(t, err)
		o.run(time.Second)
		before := len(order)
		require.NotZero(t, before)
		o.send(to("recibo@correo.example"))
		o.run(time.Second)
		require.Equal(t, "recibo@correo.example", order[before])
	})
}

func many(n int, domain string) func(yield func(tracking.Recipient) bool) {
	return func(yield func(tracking.Recipient) bool) {
		for i := range n {
			if !yield(to(fmt.Sprintf("a%d@%s", i, domain))) {
				return
			}
		}
	}
}

// TestTenantsAndCampaignsTakeTurnsEndToEnd: a small tenant is not behind a large one,
// nor a small campaign behind a large one.
func TestTenantsAndCampaignsTakeTurnsEndToEnd(t *testing.T) {
	sent := map[string]int{}
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		sent[m.Tenant+"/"+m.Campaign]++
		time.Sleep(10 * time.Millisecond)
		return accept(ctx, m)
	})
	openWith(t, transport, nil, &queue.Options{Shaping: queue.Shaping{Lane: queue.Limit{Connections: 1}}}, func(t *testing.T, o *office) {
		template := o.compile(&tracking.Message{})
		for _, m := range []struct {
			tenant, campaign string
			n                int
		}{{"grande", "otoño", 5000}, {"grande", "aviso", 60}, {"chico", "carta", 60}} {
			_, err := o.SendAll(t.Context(), &queue.Mailing{Template: template, Tenant: m.tenant, Campaign: m.campaign}, many(m.n, "correo.example"))
			require.NoError(t, err)
		}
		o.run(2 * time.Second)
		require.Equal(t, 60, sent["chico/carta"])
		require.GreaterOrEqual(t, sent["grande/aviso"], 45)
		require.LessOrEqual(t, sent["grande/otoño"], 120)
	})
}

// TestDeepDeferredLaneDelaysNoOther: 100,000 mails wait for a lane to open; a mail
// to another leaves at once.
func TestDeepDeferredLaneDelaysNoOther(t *testing.T) {
	var sent sync.Map // time.Time by address
	transport := carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		if strings.HasSuffix(m.To[0].Addr, "@lleno.example") {
			return smtp.Outcome{Status: smtp.Deferred, Reply: smtp.Reply{Code: 421, Lines: []string{"Too many connections"}}}
		}
		sent.Store(m.To[0].Addr, time.Now())
		return accept(ctx, m)
	})
	openWith(t, transport, nil, nil, func(t *testing.T, o *office) {
		template := o.compile(&tracking.Message{})
		_, err := o.SendAll(t.Context(), &queue.Mailing{Template: template, Priority: queue.Transactional}, many(100_000, "lleno.example"))
		require.NoError(t, err)
		go o.run(10 * time.Minute)
		time.Sleep(time.Minute)
		for i := range 20 {
			started := time.Now()
			address := fmt.Sprintf("ana%d@correo.example", i)
			o.send(to(address))
			time.Sleep(10 * time.Second)
			at, ok := sent.Load(address)
			require.True(t, ok, "%s waits", address)
			require.WithinRange(t, at.(time.Time), started, started.Add(100*time.Millisecond))
		}
		time.Sleep(10 * time.Minute)
	})
}

// TestShutdownWithManyQueued: Run ends at once, however much waits.
func TestShutdownWithManyQueued(t *testing.T) {
	t.Parallel()
	store := memqueue.New(nil)
	defer store.Close()
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	require.NoError(t, err)
	started := make(chan struct{}, 1)
	var sends atomic.Int64
	q, err := queue.New(store, carrier(func(ctx context.Context, m *smtp.Message) smtp.Outcome {
		if sends.Add(1) == 1000 {
			close(started)
		}
		return accept(ctx, m)
	}), tracker, nil)
	require.NoError(t, err)
	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Hola {{nombre}}"})
	require.NoError(t, err)
	const queued = 100_000
	n, err := q.SendAll(t.Context(), &queue.Mailing{Template: template}, many(queued, "correo.example"))
	require.NoError(t, err)
	require.Equal(t, queued, n)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	<-started
	stop()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
	stats, err := q.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, sends.Load(), stats.ByState[queue.Delivered], "what was sent is settled")
	require.Equal(t, queued, stats.ByState[queue.Delivered]+stats.ByState[queue.Ready])
	require.Zero(t, stats.Leased)
	for _, p := range q.Pools() {
		require.Zero(t, p.Sending)
	}
}
