package queuetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

var restarts = []rule{
	{"JobsSurvive", "jobs, templates, states and counts are as they were", func(k *kit) {
		in := append(jobs(6, example), job(other))
		in[4].State = queue.Held
		k.put(in...)
		leases := k.claimAt(noon.Add(3*time.Second), example)
		require.Len(k, leases, 4)
		later := deferred(leases[3], noon.Add(time.Hour))
		later.Last = "451"
		k.settle(done(leases[0], queue.Delivered), done(leases[1], queue.Bounced), done(leases[2], queue.Cancelled), later)
		listed, stats, flows := k.list(queue.Filter{}), k.stats(), k.flows()
		k.restart()
		require.Equal(k, listed, k.list(queue.Filter{}))
		require.Equal(k, stats, k.stats())
		require.Equal(k, flows, k.flows())
		content, err := k.Template(k.Context(), hashOf(letter))
		require.NoError(k, err)
		require.Equal(k, letter, content)
		require.Equal(k, 2, k.claimAt(noon.Add(time.Hour), example)[1].Attempt)
	}},
	{"TokensGrowOn", "tokens of a job grow across restarts, and old ones are stale", func(k *kit) {
		k.put(job(example))
		first := k.claimOne(noon, example)
		k.restart()
		second := k.claimOne(noon.Add(time.Hour), example)
		require.Greater(k, second.Token, first.Token)
		require.Equal(k, 1, second.Attempt)
		require.Equal(k, []tracking.ID{first.ID}, k.settle(done(first, queue.Delivered)))
		require.Empty(k, k.settle(done(second, queue.Delivered)))
	}},
	{"HoldsSurvive", "Hold by campaign still holds what arrives after a restart", func(k *kit) {
		k.put(job(other))
		k.apply(queue.Filter{Campaign: other.Campaign}, queue.Hold)
		k.restart()
		k.put(job(other))
		require.Empty(k, k.claimAt(noon, other))
		k.apply(queue.Filter{Campaign: other.Campaign}, queue.Release)
		k.restart()
		k.put(job(other))
		require.Len(k, k.claimAt(noon, other), 3)
	}},
	{"CancelledLeaseSurvives", "a job that was cancelled while it was leased is not due after a restart", func(k *kit) {
		k.put(job(example))
		k.claimOne(noon, example)
		k.apply(queue.Filter{Lane: example.Lane}, queue.Cancel)
		k.restart()
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Equal(k, [...]int{0, 0, 0, 0, 1}, k.stats().ByState)
	}},
	{"KeysSurvive", "IDs and keys are known after a restart", func(k *kit) {
		first, second := job(example), job(example)
		first.Key, second.Key = "pedido 7", "pedido 7"
		k.put(first)
		k.restart()
		require.Equal(k, []queue.Accepted{{ID: first.ID, Known: true}, {ID: first.ID, Known: true}}, k.put(first, second))
	}},
	{"RecordsSurvive", "events and suppressions are as they were", func(k *kit) {
		if _, ok := k.Store.(queue.Journal); ok {
			k.record(event(tracking.Opened, noon))
			events := k.events(queue.EventFilter{})
			k.restart()
			require.Equal(k, events, k.events(queue.EventFilter{}))
		}
		if _, ok := k.Store.(queue.SuppressionList); ok {
			k.suppress(queue.Suppression{Address: "ana@example.com", Reason: bounce.Complaint, Since: noon})
			k.restart()
			require.Equal(k, bounce.Complaint, k.suppressed("", "ana@example.com")[0].Reason)
		}
	}},
	{"CountsSurvive", "what was sent counts after a restart", func(k *kit) {
		if _, ok := k.Store.(queue.Meter); !ok {
			return
		}
		k.take(hourly, 60, noon, 60)
		k.restart()
		k.take(hourly, 60, noon.Add(time.Minute), 40)
	}},
}
