// Package queuetest is the contract of [queue.Store] as tests, and benchmarks that
// compare stores.
package queuetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// TestStore runs the contract of [queue.Store] against the empty stores that open
// makes, and those of [queue.Journal], [queue.SuppressionList], [queue.Meter] and
// [queue.Roster] if they implement them. It closes the stores.
func TestStore(t *testing.T, open func(t *testing.T) queue.Store) {
	for _, r := range contract {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			check(t, r, open(t))
		})
	}
}

// TestRestart runs what the contract says of restarts. The function that open
// returns opens one and the same store again and again, empty at first.
func TestRestart(t *testing.T, open func(t *testing.T) func() queue.Store) {
	for _, r := range restarts {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			again := open(t)
			k := &kit{T: t, Store: again(), again: again}
			r.check(k)
			require.NoError(t, k.Close())
		})
	}
}

// rule is one sentence of the contract.
type rule struct {
	name  string
	says  string
	check func(*kit)
}

func check(t T, r rule, s queue.Store) {
	k := &kit{T: t, Store: s}
	defer k.Close()
	r.check(k)
}

// T is what the rules need of a *testing.T.
type T interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// kit is a store under test, and short ways to use it: each fails the test on an
// error.
type kit struct {
	T
	queue.Store
	again func() queue.Store
}

// noon is when the rules play.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

var (
	example = queue.Flow{Lane: "example.com"}
	other   = queue.Flow{Lane: "example.org", Priority: queue.Transactional, Tenant: "acme", Campaign: "marzo"}
	letter  = []byte("Subject: Hola\r\n\r\nHola, {{name}}\r\n")
)

func hashOf(b []byte) queue.Hash { return sha256.Sum256(b) }

// job is a job that is due at noon.
func job(flow queue.Flow) queue.Job {
	return queue.Job{ID: tracking.NewID(), Flow: flow, Address: "ana@" + flow.Lane, Recipient: []byte{1, 2, 3}, Due: noon}
}

func jobs(n int, flow queue.Flow) []queue.Job {
	out := make([]queue.Job, n)
	for i := range out {
		out[i] = job(flow)
		out[i].Address = fmt.Sprintf("r%d@%s", i, flow.Lane)
		out[i].Due = noon.Add(time.Duration(i) * time.Second)
	}
	return out
}

func batch(jobs ...queue.Job) *queue.Batch {
	return &queue.Batch{Hash: hashOf(letter), Template: letter, Jobs: jobs}
}

func (k *kit) put(jobs ...queue.Job) []queue.Accepted {
	k.Helper()
	accepted, err := k.Put(k.Context(), batch(jobs...))
	require.NoError(k, err)
	require.Len(k, accepted, len(jobs))
	return accepted
}

// claimAt claims up to 100 jobs of each flow for a minute.
func (k *kit) claimAt(now time.Time, flows ...queue.Flow) []queue.Lease {
	k.Helper()
	claims := make([]queue.FlowClaim, len(flows))
	for i, f := range flows {
		claims[i] = queue.FlowClaim{Flow: f, N: 100}
	}
	leases, err := k.Claim(k.Context(), now, now.Add(time.Minute), claims)
	require.NoError(k, err)
	return leases
}

// claimOne claims the only job of a flow that is due.
func (k *kit) claimOne(now time.Time, flow queue.Flow) queue.Lease {
	k.Helper()
	leases := k.claimAt(now, flow)
	require.Len(k, leases, 1)
	return leases[0]
}

func (k *kit) settle(changes ...queue.Change) []tracking.ID {
	k.Helper()
	stale, err := k.Settle(k.Context(), changes)
	require.NoError(k, err)
	return stale
}

func (k *kit) apply(f queue.Filter, action queue.Action) int {
	k.Helper()
	n, err := k.Apply(k.Context(), f, action, noon)
	require.NoError(k, err)
	return n
}

func (k *kit) list(f queue.Filter) []queue.Job {
	k.Helper()
	found, err := k.List(k.Context(), f, tracking.ID{}, 1000)
	require.NoError(k, err)
	return found
}

func (k *kit) state(id tracking.ID) queue.State {
	k.Helper()
	found := k.list(queue.Filter{IDs: []tracking.ID{id}})
	require.Len(k, found, 1)
	return found[0].State
}

func (k *kit) flows() map[queue.Flow]time.Time {
	k.Helper()
	out := map[queue.Flow]time.Time{}
	err := k.Flows(k.Context(), func(f queue.Flow, due time.Time) bool {
		require.NotContains(k, out, f)
		out[f] = due.UTC()
		return true
	})
	require.NoError(k, err)
	return out
}

func (k *kit) stats() queue.Stats {
	k.Helper()
	stats, err := k.Stats(k.Context())
	require.NoError(k, err)
	return stats
}

// restart closes the store and opens it again.
func (k *kit) restart() {
	k.Helper()
	require.NoError(k, k.Close())
	k.Store = k.again()
}

func addresses(jobs []queue.Job) []string {
	out := make([]string, len(jobs))
	for i := range jobs {
		out[i] = jobs[i].Address
	}
	return out
}

func claimed(leases []queue.Lease) []string {
	out := make([]string, len(leases))
	for i := range leases {
		out[i] = leases[i].Address
	}
	return out
}

func done(l queue.Lease, state queue.State) queue.Change {
	return queue.Change{ID: l.ID, Token: l.Token, State: state, Counts: true}
}

func deferred(l queue.Lease, due time.Time) queue.Change {
	return queue.Change{ID: l.ID, Token: l.Token, State: queue.Ready, Due: due, Counts: true}
}
