package otelqueue_test

import (
	"context"
	"net/mail"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/queue/otelqueue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

func TestTelemetryOfARun(t *testing.T) {
	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{{To: "nadie@*", Reply: "550 5.1.1 No existe"}}})
	defer server.Close()
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	telemetry, err := otelqueue.New(&otelqueue.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	require.NoError(t, err)
	store := memqueue.New(nil)
	relay, err := smtp.NewRelay(server.URL(), nil)
	require.NoError(t, err)
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: store})
	require.NoError(t, err)
	q, err := queue.New(store, telemetry.Transport(relay), tracker, &queue.Options{Sink: telemetry})
	require.NoError(t, err)
	registration, err := telemetry.Observe(q)
	require.NoError(t, err)
	defer func() { require.NoError(t, registration.Unregister()) }()

	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: "Hola"})
	require.NoError(t, err)
	_, err = q.Send(t.Context(), template, recipient("ana@example.com"), recipient("luis@example.com"), recipient("nadie@example.com"))
	require.NoError(t, err)
	run(t, q)

	sums, gauges := collect(t, reader)
	require.Equal(t, int64(3), sums["messaging.client.sent.messages"])
	require.Equal(t, int64(3), sums["franqueo.events"])
	require.Equal(t, int64(2), gauges["franqueo.queue.jobs delivered"])
	require.Equal(t, int64(1), gauges["franqueo.queue.jobs bounced"])
	require.Len(t, spans.Ended(), 3)
	for _, span := range spans.Ended() {
		require.Equal(t, "send 127.0.0.1", span.Name())
		for _, a := range span.Attributes() {
			require.NotContains(t, a.Value.String(), "@", "no address in a span: %s", a.Key)
		}
	}
}

func recipient(address string) tracking.Recipient {
	return tracking.Recipient{To: mail.Address{Address: address}}
}

// run runs q until nothing is ready.
func run(t *testing.T, q *queue.Queue) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	require.Eventually(t, func() bool {
		stats, err := q.Stats(t.Context())
		return err == nil && stats.ByState[queue.Ready] == 0
	}, 10*time.Second, 5*time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

// collect adds up what the reader has: counters by name, gauges by name and state.
func collect(t *testing.T, reader sdkmetric.Reader) (sums, gauges map[string]int64) {
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	sums, gauges = map[string]int64{}, map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					sums[m.Name] += p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					state, _ := p.Attributes.Value("franqueo.state")
					gauges[m.Name+" "+state.AsString()] = p.Value
				}
			}
		}
	}
	return sums, gauges
}
