// Package otelqueue reports a queue to OpenTelemetry: a span and a duration for
// each attempt, a counter of events, and gauges of what waits and of how each
// destination stands.
//
//	telemetry, err := otelqueue.New(nil)
//	q, err := queue.New(store, telemetry.Transport(relay), tracker, &queue.Options{Sink: telemetry})
//	registration, err := telemetry.Observe(q)
//
// Names follow the semantic conventions for messaging where they have one:
// messaging.client.operation.duration in seconds, messaging.client.sent.messages,
// and spans "send <provider>". What they have none for begins with "franqueo.":
//
//	franqueo.events              events by type, reason, verdict and provider
//	franqueo.queue.jobs          jobs that are kept, by state
//	franqueo.queue.leased        jobs that are being sent
//	franqueo.queue.oldest.age    seconds since the oldest ready job became due
//	franqueo.pool.sending        attempts under way, by pool
//	franqueo.pool.suspended      seconds until a suspended pool is tried again
//
// A provider is the registrable domain of the host that answered, such as
// "google.com": few enough for a label. No address is in any label or span.
package otelqueue

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/publicsuffix"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

const scope = "github.com/franqueo/franqueo/queue/otelqueue"

// Options tunes a [Telemetry]. The zero value uses the global providers.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Telemetry holds the instruments. It is safe for concurrent use, and a
// [tracking.Sink].
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	duration metric.Float64Histogram
	sent     metric.Int64Counter
	events   metric.Int64Counter
}

// New makes the instruments.
func New(opts *Options) (*Telemetry, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{tracer: o.TracerProvider.Tracer(scope), meter: o.MeterProvider.Meter(scope)}
	var faults [3]error
	t.duration, faults[0] = t.meter.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from the start of an attempt to its outcome."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300))
	t.sent, faults[1] = t.meter.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Attempts, by outcome."))
	t.events, faults[2] = t.meter.Int64Counter("franqueo.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events of the queue and of returned mail."))
	return t, errors.Join(faults[:]...)
}

// Record counts events.
func (t *Telemetry) Record(ctx context.Context, events []tracking.Event) error {
	for i := range events {
		e := &events[i]
		t.events.Add(ctx, 1, metric.WithAttributes(
			attribute.String("franqueo.event.type", string(e.Type)),
			attribute.String("franqueo.reason", e.Reason.String()),
			attribute.String("franqueo.verdict", e.Verdict.String()),
			attribute.String("franqueo.provider", provider(e.Host)),
		))
	}
	return nil
}

// Transport wraps a transport: each Send is a span, and its outcomes are counted.
// What the queue finds in a transport that delivers directly stays.
func (t *Telemetry) Transport(next smtp.Transport) smtp.Transport {
	traced := &transport{Telemetry: t, next: next}
	if hosts, ok := next.(mailHosts); ok {
		return &directTransport{traced, hosts}
	}
	return traced
}

type transport struct {
	*Telemetry
	next smtp.Transport
}

type mailHosts interface {
	MailHosts(ctx context.Context, domain string) ([]string, error)
}

type directTransport struct {
	*transport
	mailHosts
}

// CloseIdle closes what the next transport keeps idle, if it can.
func (t *transport) CloseIdle() {
	if next, ok := t.next.(interface{ CloseIdle() }); ok {
		next.CloseIdle()
	}
}

func (t *transport) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	started := time.Now()
	ctx, span := t.tracer.Start(ctx, "send", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "smtp"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.message.id", m.ID),
		attribute.String("franqueo.campaign", m.Campaign),
		attribute.String("franqueo.stream", m.Stream),
	))
	defer span.End()
	result, err := t.next.Send(ctx, m)
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	elapsed := time.Since(started).Seconds()
	for i := range result.Recipients {
		t.count(ctx, span, &result.Recipients[i], elapsed)
	}
	return result, err
}

// count records one outcome.
func (t *transport) count(ctx context.Context, span trace.Span, o *smtp.Outcome, elapsed float64) {
	host := ""
	if o.Session != nil {
		host = o.Session.Host
	}
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "smtp"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("franqueo.provider", provider(host)),
	}
	if o.Status != smtp.Accepted {
		attributes = append(attributes, attribute.String("error.type", o.Status.String()))
	}
	t.duration.Record(ctx, elapsed, metric.WithAttributes(attributes...))
	t.sent.Add(ctx, 1, metric.WithAttributes(attributes...))
	span.SetName("send " + provider(host))
	span.SetAttributes(
		attribute.String("server.address", host),
		attribute.String("franqueo.provider", provider(host)),
		attribute.Int("smtp.reply.code", o.Reply.Code),
		attribute.String("smtp.reply.enhanced", o.Reply.Enhanced.String()),
		attribute.String("franqueo.outcome", o.Status.String()),
	)
}

// Observe reports how q stands, whenever metrics are collected, until the
// registration is ended.
func (t *Telemetry) Observe(q *queue.Queue) (metric.Registration, error) {
	var faults [5]error
	var g gauges
	g.jobs, faults[0] = t.meter.Int64ObservableGauge("franqueo.queue.jobs", metric.WithUnit("{job}"), metric.WithDescription("Jobs that are kept, by state."))
	g.leased, faults[1] = t.meter.Int64ObservableGauge("franqueo.queue.leased", metric.WithUnit("{job}"), metric.WithDescription("Jobs that are being sent."))
	g.age, faults[2] = t.meter.Float64ObservableGauge("franqueo.queue.oldest.age", metric.WithUnit("s"), metric.WithDescription("Time since the oldest ready job became due."))
	g.sending, faults[3] = t.meter.Int64ObservableGauge("franqueo.pool.sending", metric.WithUnit("{attempt}"), metric.WithDescription("Attempts under way, by pool."))
	g.suspended, faults[4] = t.meter.Float64ObservableGauge("franqueo.pool.suspended", metric.WithUnit("s"), metric.WithDescription("Time until a suspended pool is tried again."))
	if err := errors.Join(faults[:]...); err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		return g.observe(ctx, o, q)
	}, g.jobs, g.leased, g.age, g.sending, g.suspended)
}

type gauges struct {
	jobs, leased, sending metric.Int64ObservableGauge
	age, suspended        metric.Float64ObservableGauge
}

func (g *gauges) observe(ctx context.Context, o metric.Observer, q *queue.Queue) error {
	stats, err := q.Stats(ctx)
	if err != nil {
		return err
	}
	for state, n := range stats.ByState {
		o.ObserveInt64(g.jobs, int64(n), metric.WithAttributes(attribute.String("franqueo.state", queue.State(state).String())))
	}
	o.ObserveInt64(g.leased, int64(stats.Leased))
	age := 0.0
	if !stats.Oldest.IsZero() {
		age = max(time.Since(stats.Oldest).Seconds(), 0)
	}
	o.ObserveFloat64(g.age, age)
	for _, p := range q.Pools() {
		if !p.Provider && p.Suspended.IsZero() { // lanes are too many for a label
			continue
		}
		name := metric.WithAttributes(attribute.String("franqueo.pool", p.Name))
		o.ObserveInt64(g.sending, int64(p.Sending), name)
		o.ObserveFloat64(g.suspended, max(time.Until(p.Suspended).Seconds(), 0), name)
	}
	return nil
}

// provider is the registrable domain of a host; the host itself if it has none,
// and "none" where no host answered.
func provider(host string) string {
	if host == "" {
		return "none"
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}
