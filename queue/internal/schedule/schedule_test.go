package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// model is what a job is, kept in the simplest way.
type model struct {
	flow   queue.Flow
	due    time.Time // the end of the lease while leased
	state  queue.State
	token  uint64
	leased bool
}

// TestAgainstModel does thousands of random things to a schedule and to a map, and
// looks for a difference.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1_790_000_000_000).UTC()
	random := rand.New(rand.NewPCG(3, 4))
	s, jobs := schedule.New(1), map[tracking.ID]*model{}
	at := func() time.Time { return start.Add(time.Duration(random.IntN(1000)) * time.Second) }
	pick := func() (tracking.ID, *model) {
		for id, j := range jobs { // any
			return id, j
		}
		return tracking.ID{}, nil
	}
	steps := []func(){
		func() {
			id, j := tracking.NewID(), &model{flow: queue.Flow{Lane: fmt.Sprint(random.IntN(5))}, due: at()}
			j.state = queue.State(random.IntN(2))
			jobs[id] = j
			s.Add(id, j.flow, j.due, j.state)
		},
		func() {
			now := at()
			claimed, err := s.Claim(now, now.Add(time.Minute), []queue.FlowClaim{{Flow: queue.Flow{Lane: "3"}, N: 3}})
			require.NoError(t, err)
			for _, c := range claimed {
				j := jobs[c.ID]
				require.Equal(t, queue.Ready, j.state)
				require.False(t, j.due.After(now))
				require.Greater(t, c.Token, j.token)
				j.due, j.token, j.leased = now.Add(time.Minute), c.Token, true
			}
			for _, j := range jobs {
				if len(claimed) < 3 && j.flow.Lane == "3" && j.state == queue.Ready {
					require.True(t, j.due.After(now), "due, and not claimed")
				}
			}
		},
		func() {
			id, j := pick()
			if j == nil || !j.leased {
				return
			}
			state, due := queue.State(random.IntN(5)), at()
			require.False(t, s.Begin(id, j.token+1))
			require.True(t, s.Begin(id, j.token))
			if random.IntN(4) == 0 {
				s.Abort(id)
				return
			}
			require.Equal(t, state, s.Settle(id, state, due))
			j.state, j.due, j.leased = state, due, false
			if state > queue.Held {
				delete(jobs, id)
			}
		},
		func() {
			id, j := pick()
			if j == nil || j.leased || j.state != queue.Ready {
				return
			}
			s.Apply(id, j.flow, j.state, queue.Held, time.Time{})
			j.state = queue.Held
		},
		func() {
			id, j := pick()
			if j == nil || j.leased {
				return
			}
			s.Apply(id, j.flow, j.state, queue.Cancelled, time.Time{})
			delete(jobs, id)
			require.False(t, s.Has(id))
		},
	}
	for range 20_000 {
		steps[random.IntN(len(steps))]()
		if random.IntN(100) == 0 {
			compare(t, s, jobs)
		}
	}
}

func compare(t *testing.T, s *schedule.Schedule, jobs map[tracking.ID]*model) {
	t.Helper()
	want := map[queue.Flow]queue.FlowStats{}
	for id, j := range jobs {
		require.True(t, s.Has(id))
		f := want[j.flow]
		if j.state == queue.Held {
			f.Held++
		} else {
			f.Ready++
			if j.leased {
				f.Leased++
			}
			if f.Oldest.IsZero() || j.due.Before(f.Oldest) {
				f.Oldest = j.due
			}
		}
		want[j.flow] = f
	}
	require.Equal(t, len(jobs), s.Len())
	require.Equal(t, want, s.Stats().Flows)
}

// BenchmarkAdd reports how many bytes a job takes: about 65, copies of grown slices
// included.
func BenchmarkAdd(b *testing.B) {
	s, flow := schedule.New(1), queue.Flow{Lane: "example.com"}
	b.ReportAllocs()
	for b.Loop() {
		s.Add(tracking.NewID(), flow, time.Time{}, queue.Ready)
	}
}
