package queuetest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

var contract = slices.Concat(putRules, claimRules, settleRules, applyRules, listRules, journalRules, suppressionRules, meterRules, rosterRules)

var putRules = []rule{
	{"PutAnswersInOrder", "Put returns one Accepted for each job, in order", func(k *kit) {
		in := jobs(200, example)
		slices.Reverse(in)
		accepted := k.put(in...)
		for i := range in {
			require.Equal(k, queue.Accepted{ID: in[i].ID}, accepted[i])
		}
		require.Len(k, k.list(queue.Filter{}), len(in))
	}},
	{"PutNothing", "a batch without jobs stores its template", func(k *kit) {
		require.Empty(k, k.put())
		content, err := k.Template(k.Context(), hashOf(letter))
		require.NoError(k, err)
		require.Equal(k, letter, content)
	}},
	{"PutTwice", "a job whose ID is known changes nothing", func(k *kit) {
		first := job(example)
		k.put(first)
		again := first
		again.Address = "otra@example.com"
		newer := job(example)
		accepted := k.put(newer, again)
		require.Equal(k, []queue.Accepted{{ID: newer.ID}, {ID: first.ID, Known: true}}, accepted)
		require.Equal(k, []string{first.Address, newer.Address}, addresses(k.list(queue.Filter{})))
	}},
	{"PutTwiceInOneBatch", "an ID that comes twice in a batch is one job", func(k *kit) {
		a, b := job(example), job(example)
		accepted := k.put(b, a, b)
		require.Equal(k, []queue.Accepted{{ID: b.ID}, {ID: a.ID}, {ID: b.ID, Known: true}}, accepted)
		require.Len(k, k.list(queue.Filter{}), 2)
		require.Len(k, k.claimAt(noon, example), 2)
	}},
	{"PutFinished", "a job that is finished is known too", func(k *kit) {
		a := job(example)
		k.put(a)
		k.settle(done(k.claimOne(noon, example), queue.Delivered))
		require.True(k, k.put(a)[0].Known)
		require.Empty(k, k.flows())
	}},
	{"SameKey", "a job whose key is known with the same digest changes nothing, and the first ID is returned", func(k *kit) {
		first, second := job(example), job(example)
		first.Key, first.Digest = "pedido 7", [16]byte{7}
		second.Key, second.Digest = first.Key, first.Digest
		k.put(first)
		require.Equal(k, []queue.Accepted{{ID: first.ID, Known: true}}, k.put(second))
		require.Len(k, k.list(queue.Filter{}), 1)
	}},
	{"SameKeyInOneBatch", "keys are compared within a batch too", func(k *kit) {
		first, second := job(example), job(example)
		first.Key, second.Key = "pedido 7", "pedido 7"
		require.Equal(k, []queue.Accepted{{ID: first.ID}, {ID: first.ID, Known: true}}, k.put(first, second))
		require.Len(k, k.list(queue.Filter{}), 1)
	}},
	{"KeyOfOtherContent", "a job whose key is known with another digest fails the whole batch", func(k *kit) {
		first, second := job(example), job(example)
		first.Key, first.Digest = "pedido 7", [16]byte{7}
		second.Key, second.Digest = "pedido 7", [16]byte{8}
		k.put(first)
		text := []byte("otra carta")
		_, err := k.Put(k.Context(), &queue.Batch{Hash: hashOf(text), Template: text, Jobs: []queue.Job{job(example), second, job(example)}})
		var conflict *queue.KeyError
		require.ErrorAs(k, err, &conflict)
		require.Equal(k, queue.KeyError{Key: "pedido 7", First: first.ID}, *conflict)
		require.Len(k, k.list(queue.Filter{}), 1)
		_, err = k.Template(k.Context(), hashOf(text))
		require.ErrorIs(k, err, queue.ErrNotFound)
	}},
	{"TemplateUnknown", "Template of an unknown hash is ErrNotFound", func(k *kit) {
		_, err := k.Template(k.Context(), hashOf([]byte("?")))
		require.ErrorIs(k, err, queue.ErrNotFound)
	}},
	{"PutWithoutTemplate", "a batch may leave out a template that is known, and no other", func(k *kit) {
		b := batch(job(example))
		b.Template = nil
		_, err := k.Put(k.Context(), b)
		require.ErrorIs(k, err, queue.ErrNotFound)
		require.Empty(k, k.list(queue.Filter{}))
		k.put()
		_, err = k.Put(k.Context(), b)
		require.NoError(k, err)
		require.Len(k, k.list(queue.Filter{}), 1)
	}},
	{"PutBadInput", "batches that make no sense are refused whole", func(k *kit) {
		noID, finished, foreign := job(example), job(example), job(example)
		noID.ID = tracking.ID{}
		finished.State = queue.Delivered
		foreign.Template = hashOf([]byte("?"))
		bad := []*queue.Batch{batch(job(example), noID), batch(job(example), finished), batch(job(example), foreign), {Template: letter, Jobs: jobs(1, example)}}
		for _, b := range bad {
			_, err := k.Put(k.Context(), b)
			require.Error(k, err)
		}
		require.Empty(k, k.list(queue.Filter{}))
	}},
	{"PutKeepsNothing", "Put keeps nothing of its arguments", func(k *kit) {
		text := bytes.Clone(letter)
		a := job(example)
		a.Tags, a.Meta = []string{"vip"}, map[string]string{"user": "7"}
		b := &queue.Batch{Hash: hashOf(text), Template: text, Jobs: []queue.Job{a}}
		_, err := k.Put(k.Context(), b)
		require.NoError(k, err)
		text[0], a.Recipient[0], a.Tags[0], a.Meta["user"], b.Jobs[0].Address = 0, 0, "", "", ""
		content, err := k.Template(k.Context(), b.Hash)
		require.NoError(k, err)
		require.Equal(k, letter, content)
		stored := k.list(queue.Filter{})[0]
		require.Equal(k, []byte{1, 2, 3}, stored.Recipient)
		require.Equal(k, "ana@example.com", stored.Address)
		require.Equal(k, []string{"vip"}, stored.Tags)
		require.Equal(k, map[string]string{"user": "7"}, stored.Meta)
	}},
	{"EveryField", "a job comes back as it was put, its times in milliseconds", func(k *kit) {
		a := queue.Job{
			ID: tracking.NewID(), Flow: other, Template: hashOf(letter), Address: "maría@example.org", Recipient: []byte{1, 0, 255},
			Stream: "boletín", Tags: []string{"a", "b"}, Meta: map[string]string{"user": "7", "plan": "oro"},
			Key: "clave \x00 ñ", Digest: [16]byte{1, 15: 2},
			Due: noon.Add(1234567 * time.Nanosecond), Expires: noon.Add(time.Hour), State: queue.Ready,
		}
		k.put(a, queue.Job{ID: tracking.NewID(), Flow: example, Digest: [16]byte{1}})
		a.Due = noon.Add(time.Millisecond)
		stored := k.list(queue.Filter{})
		require.Equal(k, a, stored[0])
		require.True(k, stored[1].Expires.IsZero())
		require.True(k, stored[1].Due.IsZero())
		require.Equal(k, [16]byte{1}, stored[1].Digest)
		lease := k.claimOne(noon.Add(time.Second), other)
		require.Equal(k, a, lease.Job)
		require.Equal(k, noon.Add(time.Second+time.Minute), lease.Until.UTC())
		require.Equal(k, 1, lease.Attempt)
		require.NotZero(k, lease.Token)
	}},
	{"PutHeld", "a job can be put as held", func(k *kit) {
		a := job(example)
		a.State = queue.Held
		k.put(a)
		require.Empty(k, k.claimAt(noon, example))
		require.Empty(k, k.flows())
		require.Equal(k, 1, k.apply(queue.Filter{}, queue.Release))
		k.claimOne(noon, example)
	}},
}

var claimRules = []rule{
	{"FlowsOfReadyJobs", "Flows yields each flow with a ready job, and when the first is due", func(k *kit) {
		require.Empty(k, k.flows())
		a, b, c := job(example), job(example), job(other)
		a.Due = noon.Add(time.Hour)
		c.Due = noon.Add(2 * time.Hour)
		k.put(a, b, c)
		require.Equal(k, map[queue.Flow]time.Time{example: noon, other: c.Due}, k.flows())
		k.apply(queue.Filter{Lane: other.Lane}, queue.Hold)
		require.Equal(k, map[queue.Flow]time.Time{example: noon}, k.flows())
		k.settle(done(k.claimOne(noon, example), queue.Delivered))
		require.Equal(k, map[queue.Flow]time.Time{example: a.Due}, k.flows())
		k.apply(queue.Filter{IDs: []tracking.ID{a.ID}}, queue.Cancel)
		require.Empty(k, k.flows())
	}},
	{"FlowsOfLeasedJobs", "leased jobs count in Flows with the end of their lease", func(k *kit) {
		k.put(job(example))
		k.claimAt(noon, example)
		require.Equal(k, map[queue.Flow]time.Time{example: noon.Add(time.Minute)}, k.flows())
	}},
	{"FlowsStops", "Flows ends when yield returns false, and yield may call the store", func(k *kit) {
		k.put(job(example), job(other))
		var n int
		err := k.Flows(k.Context(), func(f queue.Flow, _ time.Time) bool {
			n++
			require.Len(k, k.claimAt(noon, f), 1)
			return false
		})
		require.NoError(k, err)
		require.Equal(k, 1, n)
	}},
	{"ClaimOldestFirst", "Claim leases up to N due jobs, the oldest due time first", func(k *kit) {
		in := jobs(5, example)
		slices.Reverse(in)
		k.put(in...)
		claim := []queue.FlowClaim{{Flow: example, N: 2}}
		leases, err := k.Claim(k.Context(), noon.Add(3*time.Second), noon.Add(time.Minute), claim)
		require.NoError(k, err)
		require.Equal(k, []string{"r0@example.com", "r1@example.com"}, claimed(leases))
		leases, err = k.Claim(k.Context(), noon.Add(2*time.Second), noon.Add(time.Minute), claim)
		require.NoError(k, err)
		require.Equal(k, []string{"r2@example.com"}, claimed(leases))
	}},
	{"ClaimNamedFlows", "Claim leases of the named flows only", func(k *kit) {
		k.put(job(example), job(other))
		flows := []queue.Flow{
			{Lane: other.Lane, Priority: other.Priority, Tenant: other.Tenant},
			{Lane: other.Lane, Priority: other.Priority, Campaign: other.Campaign},
			{Lane: other.Lane, Tenant: other.Tenant, Campaign: other.Campaign},
			{Lane: "none.example"},
		}
		require.Empty(k, k.claimAt(noon, flows...))
		require.Len(k, k.claimAt(noon, example, other), 2)
	}},
	{"ClaimOnce", "a leased job is not claimed while its lease lasts", func(k *kit) {
		k.put(job(example))
		k.claimOne(noon, example)
		require.Empty(k, k.claimAt(noon.Add(59*time.Second), example))
	}},
	{"LeaseRunsOut", "a job whose lease has run out is due again, with a greater token and the same attempt", func(k *kit) {
		k.put(job(example))
		first := k.claimOne(noon, example)
		second := k.claimOne(noon.Add(time.Minute), example)
		require.Equal(k, first.ID, second.ID)
		require.Greater(k, second.Token, first.Token)
		require.Equal(k, 1, second.Attempt)
		require.Equal(k, []tracking.ID{first.ID}, k.settle(done(first, queue.Delivered)))
		require.Empty(k, k.settle(done(second, queue.Delivered)))
	}},
	{"TokensGrow", "each claim of a job gets a greater token than the one before", func(k *kit) {
		k.put(job(example))
		var last uint64
		for range 5 {
			lease := k.claimOne(noon, example)
			require.Greater(k, lease.Token, last)
			last = lease.Token
			require.Empty(k, k.settle(deferred(lease, noon)))
		}
	}},
	{"ClaimUntilPast", "a lease that would end before it begins is refused", func(k *kit) {
		k.put(job(example))
		_, err := k.Claim(k.Context(), noon, noon, []queue.FlowClaim{{Flow: example, N: 1}})
		require.Error(k, err)
		k.claimOne(noon, example)
	}},
	{"ClaimTogether", "claims at the same time lease no job twice, and settle each once", func(k *kit) {
		const n, workers = 400, 8
		k.put(jobs(n, example)...)
		var mu sync.Mutex
		seen := map[tracking.ID]int{}
		work := func() error {
			for {
				leases, err := k.Claim(k.Context(), noon.Add(time.Hour), noon.Add(2*time.Hour), []queue.FlowClaim{{Flow: example, N: 7}})
				if err != nil || len(leases) == 0 {
					return err
				}
				var changes []queue.Change
				mu.Lock()
				for _, l := range leases {
					seen[l.ID]++
					changes = append(changes, done(l, queue.Delivered))
				}
				mu.Unlock()
				stale, err := k.Settle(k.Context(), changes)
				if err != nil {
					return err
				}
				if len(stale) > 0 {
					return errors.New("a lease that lasts was stale")
				}
			}
		}
		errs := make(chan error, workers)
		for range workers {
			go func() { errs <- work() }()
		}
		for range workers {
			require.NoError(k, <-errs)
		}
		require.Len(k, seen, n)
		for id, times := range seen {
			require.Equal(k, 1, times, id)
		}
		require.Equal(k, n, k.stats().ByState[queue.Delivered])
	}},
	{"ClockSetBack", "a clock that is set back loses nothing", func(k *kit) {
		k.put(jobs(3, example)...)
		leases := k.claimAt(noon.Add(time.Hour), example)
		require.Len(k, leases, 3)
		require.Empty(k, k.claimAt(noon.Add(-time.Hour), example))
		require.Empty(k, k.settle(done(leases[0], queue.Delivered), deferred(leases[1], noon.Add(-time.Hour))))
		require.Equal(k, leases[1].ID, k.claimOne(noon.Add(-time.Hour), example).ID)
		require.Len(k, k.claimAt(noon.Add(2*time.Hour), example), 2)
	}},
	{"ClockSetForward", "a clock that jumps forward ends leases, whose tokens are then stale", func(k *kit) {
		k.put(job(example))
		first := k.claimOne(noon, example)
		second := k.claimOne(noon.AddDate(10, 0, 0), example)
		require.Equal(k, []tracking.ID{first.ID}, k.settle(deferred(first, noon)))
		require.Empty(k, k.settle(deferred(second, noon)))
		k.claimOne(noon, example)
	}},
}

var settleRules = []rule{
	{"Deliver", "a job that is settled as finished is not due again", func(k *kit) {
		for _, state := range []queue.State{queue.Delivered, queue.Bounced, queue.Cancelled} {
			a := job(example)
			k.put(a)
			change := done(k.claimOne(noon, example), state)
			change.Last = "250 2.0.0 Ok"
			require.Empty(k, k.settle(change))
			require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
			stored := k.list(queue.Filter{IDs: []tracking.ID{a.ID}})[0]
			require.Equal(k, state, stored.State)
			require.Equal(k, 1, stored.Attempts)
			require.Equal(k, "250 2.0.0 Ok", stored.Last)
			require.Equal(k, 1, k.stats().ByState[state])
		}
	}},
	{"Defer", "a job that is settled as ready is due when the change says", func(k *kit) {
		k.put(job(example))
		change := deferred(k.claimOne(noon, example), noon.Add(time.Hour))
		change.Last = "451 4.7.1 luego"
		require.Empty(k, k.settle(change))
		require.Equal(k, map[queue.Flow]time.Time{example: noon.Add(time.Hour)}, k.flows())
		require.Empty(k, k.claimAt(noon.Add(59*time.Minute), example))
		lease := k.claimOne(noon.Add(time.Hour), example)
		require.Equal(k, 2, lease.Attempt)
		require.Equal(k, 1, lease.Attempts)
		require.Equal(k, "451 4.7.1 luego", lease.Last)
		require.Empty(k, k.settle(deferred(lease, noon)))
		require.Equal(k, "451 4.7.1 luego", k.claimOne(noon, example).Last)
	}},
	{"GiveBack", "a change that does not count leaves the number of attempts", func(k *kit) {
		k.put(job(example))
		change := deferred(k.claimOne(noon, example), noon)
		change.Counts = false
		require.Empty(k, k.settle(change))
		require.Equal(k, 1, k.claimOne(noon, example).Attempt)
	}},
	{"SettleAsHeld", "a job can be settled as held", func(k *kit) {
		a := job(example)
		k.put(a)
		require.Empty(k, k.settle(done(k.claimOne(noon, example), queue.Held)))
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
		require.Equal(k, queue.Held, k.state(a.ID))
		require.Equal(k, 1, k.apply(queue.Filter{}, queue.Release))
		k.claimOne(noon.Add(time.Hour), example)
	}},
	{"Stale", "a change with another token is skipped and reported, and others are not", func(k *kit) {
		k.put(jobs(3, example)...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		require.Len(k, leases, 3)
		wrong := done(leases[1], queue.Bounced)
		wrong.Token++
		wrong.Last = "no"
		unknown := queue.Change{ID: tracking.NewID(), Token: 1, State: queue.Delivered}
		stale := k.settle(done(leases[0], queue.Delivered), wrong, unknown, done(leases[2], queue.Delivered))
		require.Equal(k, []tracking.ID{wrong.ID, unknown.ID}, stale)
		require.Equal(k, queue.Ready, k.state(wrong.ID))
		require.Empty(k, k.list(queue.Filter{IDs: []tracking.ID{wrong.ID}})[0].Last)
		require.Equal(k, 2, k.stats().ByState[queue.Delivered])
		require.Empty(k, k.settle(done(leases[1], queue.Delivered)))
	}},
	{"SettleTwice", "a change that was settled is stale when it comes again", func(k *kit) {
		k.put(jobs(2, example)...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		change, later := done(leases[0], queue.Delivered), deferred(leases[1], noon)
		require.Equal(k, []tracking.ID{change.ID}, k.settle(change, change))
		require.Equal(k, []tracking.ID{change.ID}, k.settle(change))
		require.Empty(k, k.settle(later))
		require.Equal(k, []tracking.ID{later.ID}, k.settle(later))
		require.Equal(k, 2, k.claimOne(noon.Add(time.Minute), example).Attempt)
	}},
	{"SettleLate", "a lease that has run out but was not claimed again can still be settled", func(k *kit) {
		k.put(job(example))
		lease := k.claimOne(noon, example)
		require.Empty(k, k.claimAt(noon.Add(time.Hour), other))
		require.Empty(k, k.settle(done(lease, queue.Delivered)))
		require.Empty(k, k.claimAt(noon.Add(time.Hour), example))
	}},
	{"Extend", "Extend only moves the end of the lease", func(k *kit) {
		k.put(job(example))
		lease := k.claimOne(noon, example)
		change := queue.Change{
			ID: lease.ID, Token: lease.Token, Extend: noon.Add(time.Hour),
			State: queue.Delivered, Counts: true, Last: "no",
		}
		require.Empty(k, k.settle(change))
		require.Empty(k, k.claimAt(noon.Add(59*time.Minute), example))
		wrong := change
		wrong.Token++
		require.Equal(k, []tracking.ID{lease.ID}, k.settle(wrong))
		again := k.claimOne(noon.Add(time.Hour), example)
		require.Equal(k, 1, again.Attempt)
		require.Empty(k, again.Last)
		require.Equal(k, []tracking.ID{lease.ID}, k.settle(change))
	}},
	{"SettleBadInput", "an unknown state is refused, and nothing is settled", func(k *kit) {
		k.put(jobs(2, example)...)
		leases := k.claimAt(noon.Add(time.Minute), example)
		_, err := k.Settle(k.Context(), []queue.Change{done(leases[0], queue.Delivered), done(leases[1], queue.State(200))})
		require.Error(k, err)
		require.Empty(k, k.settle(done(leases[0], queue.Delivered), done(leases[1], queue.Delivered)))
	}},
}
