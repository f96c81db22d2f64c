package queuetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

var applyRules = []rule{
	{"Cancel", "Cancel takes ready and held jobs, and counts those it changed", func(k *kit) {
		in := jobs(3, example)
		in[1].State = queue.Held
		k.put(in...)
		k.settle(done(k.claimOne(noon, example), queue.Delivered))
		require.Equal(k, 2, k.apply(queue.Filter{}, queue.Cancel))
		require.Zero(k, k.apply(queue.Filter{}, queue.Cancel))
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Equal(k, queue.Delivered, k.state(in[0].ID))
		require.Equal(k, queue.Cancelled, k.state(in[1].ID))
		require.Equal(k, queue.Cancelled, k.state(in[2].ID))
	}},
	{"HoldAndRelease", "held jobs are not due, and are due as before when released", func(k *kit) {
		in := jobs(3, example)
		k.put(in...)
		one := queue.Filter{IDs: []tracking.ID{in[0].ID}}
		require.Equal(k, 1, k.apply(one, queue.Hold))
		require.Zero(k, k.apply(one, queue.Hold))
		require.Equal(k, queue.Held, k.state(in[0].ID))
		require.Equal(k, map[queue.Flow]time.Time{example: in[1].Due}, k.flows())
		require.Equal(k, 1, k.apply(queue.Filter{}, queue.Release))
		require.Zero(k, k.apply(queue.Filter{}, queue.Release))
		require.Equal(k, map[queue.Flow]time.Time{example: noon}, k.flows())
		require.Equal(k, in[0].ID, k.claimOne(noon, example).ID)
	}},
	{"HoldWhatComes", "Hold by lane, tenant or campaign also holds what arrives later, until released", func(k *kit) {
		for _, f := range []queue.Filter{{Lane: other.Lane}, {Tenant: other.Tenant}, {Campaign: other.Campaign}, {Lane: other.Lane, Campaign: other.Campaign}, {}} {
			require.Zero(k, k.apply(f, queue.Hold))
			in, out := job(other), job(example)
			k.put(in, out)
			require.Equal(k, queue.Held, k.state(in.ID))
			require.Empty(k, k.claimAt(noon, other))
			if f.Lane+f.Tenant+f.Campaign != "" {
				require.Equal(k, queue.Ready, k.state(out.ID))
			}
			k.apply(f, queue.Release)
			require.Len(k, k.claimAt(noon, other), 1)
			after := job(other)
			k.put(after)
			require.Equal(k, queue.Ready, k.state(after.ID))
			k.apply(queue.Filter{}, queue.Cancel)
			require.Empty(k, k.claimAt(noon.Add(time.Hour), example, other))
		}
	}},
	{"HoldStoredOnly", "Hold by what only stored jobs have holds nothing that arrives later", func(k *kit) {
		a := job(example)
		k.put(a)
		k.apply(queue.Filter{IDs: []tracking.ID{a.ID}}, queue.Hold)
		k.apply(queue.Filter{Address: a.Address}, queue.Hold)
		k.apply(queue.Filter{Lane: example.Lane, States: []queue.State{queue.Ready}}, queue.Hold)
		k.put(job(example))
		k.claimOne(noon, example)
	}},
	{"ReleaseCovers", "Release ends the holds that its filter covers, and no wider ones", func(k *kit) {
		narrow := queue.Filter{Lane: other.Lane, Campaign: other.Campaign}
		k.apply(narrow, queue.Hold)
		k.apply(queue.Filter{Campaign: other.Campaign}, queue.Release)
		first := job(other)
		k.put(first)
		require.Equal(k, queue.Ready, k.state(first.ID))
		k.apply(queue.Filter{Lane: other.Lane}, queue.Hold)
		k.apply(narrow, queue.Release)
		require.Equal(k, queue.Ready, k.state(first.ID))
		second := job(other)
		k.put(second)
		require.Equal(k, queue.Held, k.state(second.ID))
	}},
	{"CancelLeased", "a leased job that is cancelled is cancelled when it is settled as ready, and not if it was delivered", func(k *kit) {
		in := jobs(2, example)
		k.put(in...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		require.Equal(k, 2, k.apply(queue.Filter{Lane: example.Lane}, queue.Cancel))
		require.Empty(k, k.settle(done(leases[0], queue.Delivered), deferred(leases[1], noon)))
		require.Equal(k, queue.Delivered, k.state(in[0].ID))
		require.Equal(k, queue.Cancelled, k.state(in[1].ID))
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Equal(k, [...]int{0, 0, 1, 0, 1}, k.stats().ByState)
	}},
	{"CancelledLeaseRunsOut", "a job that is cancelled while it is leased is not due when the lease runs out", func(k *kit) {
		a := job(example)
		k.put(a)
		k.claimAt(noon, example)
		k.apply(queue.Filter{Lane: example.Lane}, queue.Cancel)
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Empty(k, k.flows())
		require.Equal(k, queue.Cancelled, k.state(a.ID))
	}},
	{"HoldLeased", "a leased job that is held is held when it is settled as ready, or the lease runs out", func(k *kit) {
		in := jobs(3, example)
		k.put(in...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		require.Equal(k, 3, k.apply(queue.Filter{Lane: example.Lane}, queue.Hold))
		require.Empty(k, k.settle(done(leases[0], queue.Delivered), deferred(leases[1], noon)))
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Equal(k, queue.Delivered, k.state(in[0].ID))
		require.Equal(k, queue.Held, k.state(in[1].ID))
		require.Equal(k, queue.Held, k.state(in[2].ID))
		require.Equal(k, 2, k.apply(queue.Filter{Lane: example.Lane}, queue.Release))
		require.Len(k, k.claimAt(noon.Add(time.Hour), example), 2)
	}},
	{"ReleaseLeased", "a leased job that is held and released is leased as before", func(k *kit) {
		k.put(job(example))
		lease := k.claimOne(noon, example)
		k.apply(queue.Filter{}, queue.Hold)
		k.apply(queue.Filter{}, queue.Release)
		require.Empty(k, k.claimAt(noon.Add(59*time.Second), example))
		require.Empty(k, k.settle(deferred(lease, noon)))
		require.Equal(k, 2, k.claimOne(noon, example).Attempt)
	}},
	{"Retry", "Retry makes bounced, cancelled and ready jobs due now, and keeps their attempts", func(k *kit) {
		in := jobs(5, example)
		in[4].State = queue.Held
		k.put(in...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		require.Len(k, leases, 4)
		k.settle(done(leases[0], queue.Delivered), done(leases[1], queue.Bounced), done(leases[2], queue.Cancelled), deferred(leases[3], noon.Add(time.Hour)))
		require.Empty(k, k.flows()[other])
		require.Equal(k, 3, k.apply(queue.Filter{Lane: example.Lane}, queue.Retry))
		again := k.claimAt(noon, example)
		require.Len(k, again, 3)
		for _, l := range again {
			require.Equal(k, 2, l.Attempt)
		}
		require.Equal(k, queue.Delivered, k.state(in[0].ID))
		require.Equal(k, queue.Held, k.state(in[4].ID))
		require.Equal(k, [...]int{3, 1, 1, 0, 0}, k.stats().ByState)
	}},
	{"RetryLeased", "Retry leaves a leased job to its lease, unless it was cancelled", func(k *kit) {
		k.put(job(example))
		lease := k.claimOne(noon, example)
		require.Zero(k, k.apply(queue.Filter{}, queue.Retry))
		require.Equal(k, 1, k.apply(queue.Filter{}, queue.Cancel))
		require.Equal(k, 1, k.apply(queue.Filter{}, queue.Retry))
		require.Empty(k, k.claimAt(noon, example))
		require.Empty(k, k.settle(deferred(lease, noon)))
		k.claimOne(noon, example)
	}},
	{"ApplyBadInput", "an unknown action is refused", func(k *kit) {
		_, err := k.Apply(k.Context(), queue.Filter{}, queue.Action(200), noon)
		require.Error(k, err)
	}},
	{"FilterFields", "a filter matches the jobs that meet every field that is set", func(k *kit) {
		a, b, c := job(example), job(other), job(other)
		b.Address, c.State = "bea@example.org", queue.Held
		c.Flow.Tenant, c.Flow.Campaign = "umbrella", "abril"
		k.put(a, b, c)
		cases := []struct {
			filter queue.Filter
			want   []queue.Job
		}{
			{queue.Filter{}, []queue.Job{a, b, c}},
			{queue.Filter{IDs: []tracking.ID{c.ID, a.ID, tracking.NewID(), a.ID}}, []queue.Job{a, c}},
			{queue.Filter{Lane: other.Lane}, []queue.Job{b, c}},
			{queue.Filter{Tenant: "umbrella"}, []queue.Job{c}},
			{queue.Filter{Campaign: "marzo"}, []queue.Job{b}},
			{queue.Filter{Address: "bea@example.org"}, []queue.Job{b}},
			{queue.Filter{States: []queue.State{queue.Held, queue.Bounced}}, []queue.Job{c}},
			{queue.Filter{Lane: other.Lane, States: []queue.State{queue.Ready}}, []queue.Job{b}},
			{queue.Filter{Lane: example.Lane, Tenant: "acme"}, []queue.Job{}},
			{queue.Filter{Lane: "EXAMPLE.com"}, []queue.Job{}},
		}
		for _, c := range cases {
			require.Equal(k, ids(c.want), ids(k.list(c.filter)), c.filter)
		}
		require.Equal(k, 1, k.apply(queue.Filter{Lane: other.Lane, Address: "bea@example.org"}, queue.Cancel))
		require.Equal(k, 1, k.apply(queue.Filter{Tenant: "umbrella", States: []queue.State{queue.Held}}, queue.Cancel))
		require.Equal(k, ids([]queue.Job{a}), ids(k.list(queue.Filter{States: []queue.State{queue.Ready}})))
	}},
}

var listRules = []rule{
	{"ListPages", "List goes through the jobs by ID, from the first after the given one", func(k *kit) {
		in := jobs(25, example)
		shuffled := slices.Clone(in)
		slices.Reverse(shuffled)
		k.put(shuffled...)
		var got []tracking.ID
		var after tracking.ID
		for {
			page, err := k.List(k.Context(), queue.Filter{}, after, 10)
			require.NoError(k, err)
			require.LessOrEqual(k, len(page), 10)
			if len(page) == 0 {
				break
			}
			for i := range page {
				got = append(got, page[i].ID)
			}
			after = page[len(page)-1].ID
		}
		require.Equal(k, ids(in), got)
	}},
	{"Stats", "Stats counts jobs by state and by flow", func(k *kit) {
		require.Zero(k, k.stats().ByState)
		in := append(jobs(4, example), jobs(2, other)...)
		in[5].State = queue.Held
		k.put(in...)
		leases := k.claimAt(noon.Add(time.Second), example)
		require.Len(k, leases, 2)
		k.settle(done(leases[0], queue.Bounced))
		stats := k.stats()
		require.Equal(k, [...]int{4, 1, 0, 1, 0}, stats.ByState)
		require.Equal(k, 1, stats.Leased)
		require.Equal(k, noon, stats.Oldest.UTC())
		require.Len(k, stats.Flows, 2)
		require.Equal(k, queue.FlowStats{Ready: 3, Leased: 1, Oldest: in[2].Due}, stats.Flows[example])
		require.Equal(k, queue.FlowStats{Ready: 1, Held: 1, Oldest: noon}, stats.Flows[other])
		k.apply(queue.Filter{}, queue.Cancel)
		stats = k.stats()
		require.Equal(k, [...]int{0, 0, 0, 1, 5}, stats.ByState)
		require.Empty(k, stats.Flows)
		require.True(k, stats.Oldest.IsZero())
	}},
	{"Closed", "after Close every method returns ErrClosed", func(k *kit) {
		k.put(job(example))
		require.NoError(k, k.Close())
		for name, err := range afterClose(k) {
			require.ErrorIs(k, err, queue.ErrClosed, name)
		}
	}},
}

func ids(jobs []queue.Job) []tracking.ID {
	out := make([]tracking.ID, len(jobs))
	for i := range jobs {
		out[i] = jobs[i].ID
	}
	return out
}

// afterClose calls every method.
func afterClose(k *kit) map[string]error {
	ctx, errs := k.Context(), map[string]error{}
	_, errs["Put"] = k.Put(ctx, batch(job(example)))
	_, errs["Template"] = k.Template(ctx, hashOf(letter))
	errs["Flows"] = k.Flows(ctx, func(queue.Flow, time.Time) bool { return true })
	_, errs["Claim"] = k.Claim(ctx, noon, noon.Add(time.Minute), []queue.FlowClaim{{Flow: example, N: 1}})
	_, errs["Settle"] = k.Settle(ctx, nil)
	_, errs["Apply"] = k.Apply(ctx, queue.Filter{}, queue.Hold, noon)
	_, errs["List"] = k.List(ctx, queue.Filter{}, tracking.ID{}, 1)
	_, errs["Stats"] = k.Stats(ctx)
	errs["Close"] = k.Close()
	if j, ok := k.Store.(queue.Journal); ok {
		errs["Record"] = j.Record(ctx, nil)
		_, errs["Events"] = j.Events(ctx, queue.EventFilter{}, tracking.ID{}, 1)
	}
	if l, ok := k.Store.(queue.SuppressionList); ok {
		errs["Suppress"] = l.Suppress(ctx, nil)
		_, errs["Suppressed"] = l.Suppressed(ctx, "", []string{"ana@example.com"}, noon)
		errs["Unsuppress"] = l.Unsuppress(ctx, "ana@example.com", "")
		errs["Suppressions"] = l.Suppressions(ctx, func(queue.Suppression) bool { return true })
	}
	if m, ok := k.Store.(queue.Meter); ok {
		_, _, errs["Take"] = m.Take(ctx, hourly, 1, noon)
		errs["Return"] = m.Return(ctx, hourly, 1, noon)
	}
	return errs
}
