package queue

// Inside the package: the scheduler has no face of its own, and its order is what
// hosts are promised.

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// pickFlows makes one pick, answers it as filled, and ends the attempts.
func pickFlows(s *scheduler, now time.Time, limit int) (flows []Flow) {
	for _, p := range s.pick(now, limit) {
		s.claimed(now, p, p.N)
		for range p.N {
			flows = append(flows, p.Flow)
			s.finished(now, p.pool, now, nil)
		}
	}
	return flows
}

func TestTransactionalBeforeBulk(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	for i := range 100 {
		s.due(Flow{Lane: fmt.Sprintf("l%d.example", i)}, noon)
	}
	urgent := Flow{Lane: "l99.example", Priority: Transactional}
	s.due(urgent, noon)
	require.Equal(t, urgent, pickFlows(s, noon, 10)[0])
}

func TestLanesTakeTurns(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	s.due(Flow{Lane: "a.example"}, noon)
	s.due(Flow{Lane: "b.example"}, noon)
	count := map[string]int{}
	for range 200 {
		for _, f := range pickFlows(s, noon, 1) {
			count[f.Lane]++
		}
	}
	require.Equal(t, map[string]int{"a.example": 100, "b.example": 100}, count)
}

func TestTenantsAndCampaignsShareALane(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	for i := range 9 {
		s.due(Flow{Lane: "a.example", Tenant: "big", Campaign: fmt.Sprint(i)}, noon)
	}
	s.due(Flow{Lane: "a.example", Tenant: "small", Campaign: "only"}, noon)
	tenants, campaigns := map[string]int{}, map[string]int{}
	for range 180 {
		for _, f := range pickFlows(s, noon, 1) {
			tenants[f.Tenant]++
			campaigns[f.Campaign]++
		}
	}
	require.Equal(t, map[string]int{"big": 90, "small": 90}, tenants)
	for i := range 9 {
		require.Equal(t, 10, campaigns[fmt.Sprint(i)])
	}
}

func TestBlockedLaneDelaysNoOther(t *testing.T) {
	s := newScheduler(&Shaping{Lane: Limit{Connections: 1}}, false)
	s.due(Flow{Lane: "slow.example"}, noon)
	hung := s.pick(noon, 10)
	require.Len(t, hung, 1)
	s.claimed(noon, hung[0], 1) // and never finished
	s.due(Flow{Lane: "quick.example"}, noon)
	for range 10 {
		require.Equal(t, []Flow{{Lane: "quick.example"}}, pickFlows(s, noon, 10))
	}
	s.finished(noon, hung[0].pool, noon, nil)
	require.Len(t, pickFlows(s, noon, 10), 2)
}

func TestRoomIsNeverExceeded(t *testing.T) {
	shaping := &Shaping{
		Total:     Limit{Connections: 12},
		Lane:      Limit{Connections: 2},
		Providers: []Provider{{Name: "big", Domains: []string{"a.example", "b.example"}, Limit: Limit{Connections: 3}}},
	}
	s := newScheduler(shaping, false)
	for _, lane := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.due(Flow{Lane: lane + ".example"}, noon)
	}
	running := map[string]int{}
	total := 0
	for range 50 {
		for _, p := range s.pick(noon, 100) {
			s.claimed(noon, p, p.N)
			running[p.pool.name] += p.N
			total += p.N
		}
	}
	require.Equal(t, 12, total)
	require.LessOrEqual(t, running["big"], 3)
	for name, n := range running {
		require.LessOrEqual(t, n, 3, name)
	}
}

func TestRateHoldsInEverySpan(t *testing.T) {
	s := newScheduler(&Shaping{Lane: Limit{Connections: 100, PerSecond: 7, PerHour: 900}}, false)
	flow := Flow{Lane: "a.example"}
	s.due(flow, noon)
	var sent []time.Time
	for now := noon; now.Before(noon.Add(20 * time.Minute)); now = now.Add(50 * time.Millisecond) {
		for range pickFlows(s, now, 100) {
			sent = append(sent, now)
		}
	}
	require.Len(t, sent, 900)
	for i := range sent[7:] {
		require.GreaterOrEqual(t, sent[i+7].Sub(sent[i]), time.Second, "8 in a second at %d", i)
	}
}

func TestDeferredFlowComesBackWhenDue(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	flow := Flow{Lane: "a.example"}
	s.due(flow, noon)
	p := s.pick(noon, 1)[0]
	s.claimed(noon, p, 1)
	s.due(flow, noon.Add(time.Minute)) // the job that was claimed is deferred
	s.finished(noon, p.pool, noon, nil)
	p = s.pick(noon, 1)[0]
	s.claimed(noon, p, 0) // nothing else is there
	require.Empty(t, s.pick(noon.Add(59*time.Second), 1))
	require.Equal(t, noon.Add(time.Minute), s.next())
	require.Len(t, s.pick(noon.Add(time.Minute), 1), 1)
}

func TestFailuresSuspendTheDestination(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	s.due(Flow{Lane: "a.example"}, noon)
	now := noon
	for i := range failuresToSuspend {
		picked := s.pick(now, 100)
		require.NotEmpty(t, picked, "failure %d", i)
		for _, p := range picked {
			s.claimed(now, p, p.N)
			for range p.N {
				s.finished(now.Add(time.Second), p.pool, now, &failure{why: "connection refused"})
			}
		}
		now = now.Add(2 * time.Second)
	}
	require.Empty(t, s.pick(now, 100))
	pool := s.pools["a.example"]
	require.Equal(t, "connection refused", pool.why)
	require.Equal(t, pool.suspended, s.next())
	picked := s.pick(pool.suspended, 100)
	require.Len(t, picked, 1, "one attempt finds out")
	s.claimed(now, picked[0], 1)
	s.finished(now, picked[0].pool, now, nil)
	require.Greater(t, pool.allowed, 1, "and success opens it step by step")
}

func TestFailuresTogetherCountOnce(t *testing.T) {
	p := newPool("a", nil, Limit{Connections: 10}, false)
	for range 10 {
		p.failed(noon.Add(time.Second), noon, &failure{})
	}
	require.Equal(t, 1, p.failures)
	require.True(t, p.suspended.IsZero())
}

// TestHangingServers: servers that never answer hold two attempts each, so that the
// others' mail goes on.
func TestHangingServers(t *testing.T) {
	shaping := &Shaping{MX: func(context.Context, string) ([]string, error) { return nil, nil }}
	s := newScheduler(shaping, false)
	due := func(lane string) {
		s.due(Flow{Lane: lane}, noon)
		s.advance(noon)
		s.assign(lane, nil)
	}
	for i := range 20 {
		due(fmt.Sprintf("hangs%d.example", i))
	}
	held := 0
	for range 10 {
		for _, p := range s.pick(noon, 64-held) {
			s.claimed(noon, p, p.N)
			held += p.N
		}
	}
	require.Equal(t, 40, held)
	due("answers.example")
	for range 100 {
		for _, flow := range pickFlows(s, noon, 64-held) {
			require.Equal(t, "answers.example", flow.Lane)
		}
	}
	require.Equal(t, defaultLaneConnections, s.pools["answers.example"].allowed, "which grows to its limit")
}

func TestReplyNamesTheWait(t *testing.T) {
	p := newPool("a", nil, Limit{Connections: 10}, false)
	p.failed(noon, noon, &failure{wait: 5 * time.Minute, why: "421 try again in 300 seconds"})
	n, again := p.room(noon, nil)
	require.Zero(t, n)
	require.Equal(t, noon.Add(5*time.Minute), again)
}

func TestWarmup(t *testing.T) {
	provider := &Provider{Name: "p", Domains: []string{"a.example"}, Limit: Limit{PerDay: 1000}, Warmup: []int{50, 100, 2000}, WarmupStart: noon}
	for day, want := range []int{50, 100, 1000, 1000} {
		require.Equal(t, want, provider.day(noon.AddDate(0, 0, day).Add(time.Hour)))
	}
	p := newPool("p", provider, provider.Limit, false)
	n, _ := p.room(noon, nil)
	require.Equal(t, 50, n)
}

func TestProvidersDomainsInAnyForm(t *testing.T) {
	shaping := &Shaping{Providers: asLanes([]Provider{{Name: "correo", Domains: []string{"Ñandú.example"}}})}
	lane, err := laneOf("ñandÚ.example")
	require.NoError(t, err)
	require.Equal(t, "correo", shaping.provider(lane, nil).Name)
}

func TestAssignJoinsHostedDomains(t *testing.T) {
	s := newScheduler(&Shaping{Providers: Providers()}, false)
	lane := "empresa.example"
	s.due(Flow{Lane: lane}, noon)
	require.Equal(t, lane, s.pick(noon, 1)[0].pool.name)
	s.assign(lane, []string{"aspmx.l.google.com."})
	require.Equal(t, "gmail", s.pick(noon, 1)[0].pool.name)
}

func TestWindowClockGoesBack(t *testing.T) {
	w := &window{Window: Window{Limit: 10, Span: time.Hour}}
	w.add(noon, 4)
	w.add(noon.Add(-3*time.Hour), 4)
	require.Equal(t, 2, w.free(noon))
	require.Equal(t, 10, w.free(noon.Add(2*time.Hour)))
}

func TestManyFlowsAreCheap(t *testing.T) {
	s := newScheduler(&Shaping{Lane: Limit{Connections: 1}}, false)
	for i := range 100_000 {
		s.due(Flow{Lane: fmt.Sprintf("l%d.example", i)}, noon)
	}
	seen := map[string]bool{}
	for range 1000 {
		for _, f := range pickFlows(s, noon, 100) {
			seen[f.Lane] = true
		}
	}
	require.Len(t, seen, 100_000, "every lane had its turn before any had two")
}

func TestAssignStrandsNoLine(t *testing.T) {
	s := newScheduler(&Shaping{Lane: Limit{Connections: 1}, Providers: []Provider{{Name: "big", MX: []string{".big.example"}}}}, false)
	for _, priority := range []Priority{Bulk, 5, Transactional} {
		s.due(Flow{Lane: "a.example", Priority: priority}, noon)
	}
	first := s.pick(noon, 10)
	require.Len(t, first, 1, "the others are parked")
	s.claimed(noon, first[0], 1)
	s.assign("a.example", []string{"mx.big.example"})
	s.finished(noon, first[0].pool, noon, nil)
	require.Len(t, s.pick(noon, 10), 3)
}

func TestPoolsAreForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		shaping Shaping
		metered bool
		failure *failure
		assign  bool
		idle    time.Duration
	}{
		"Plain":      {},
		"Windows":    {shaping: Shaping{Lane: Limit{PerSecond: 5, PerHour: 100}}, idle: 2 * time.Hour},
		"Budgets":    {shaping: Shaping{Lane: Limit{PerHour: 100}}, metered: true, idle: 2 * time.Hour},
		"Failures":   {failure: &failure{}, idle: 2*maxSuspension + time.Minute},
		"Reassigned": {shaping: Shaping{Providers: []Provider{{Name: "big", MX: []string{".big.example"}}}}, assign: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(&test.shaping, test.metered)
			for i := range 100 {
				lane := fmt.Sprintf("l%d.example", i)
				s.due(Flow{Lane: lane}, noon)
				s.pick(noon, 0) // it enters its line
				if test.assign {
					s.assign(lane, []string{"mx.big.example"})
				}
			}
			for range 3 {
				for _, b := range s.thirsty(noon) {
					s.granted(b, 1, noon, noon)
				}
				for _, p := range s.pick(noon, 1000) {
					s.claimed(noon, p, 1)
					s.finished(noon, p.pool, noon, test.failure)
				}
			}
			empty := noon.Add(time.Minute)
			for range 4 {
				for _, b := range s.thirsty(empty) {
					s.granted(b, 5, empty, empty)
				}
				for _, p := range s.pick(empty, 1000) {
					s.claimed(empty, p, 0)
				}
			}
			later := empty.Add(test.idle)
			s.leftovers(later.Add(day))
			s.prune(later)
			for _, p := range s.pools {
				require.NotNil(t, p.provider, "%d pools are kept", len(s.pools))
			}
			require.Empty(t, s.lanes)
			require.Empty(t, s.asking)
		})
	}
}

func TestLanesAreRememberedForAWhile(t *testing.T) {
	shaping := &Shaping{Providers: []Provider{{Name: "big", MX: []string{".big.example"}}}}
	shaping.MX = func(context.Context, string) ([]string, error) { return nil, nil } // Run calls it, not the scheduler
	s := newScheduler(shaping, false)
	flow := Flow{Lane: "a.example"}
	send := func(now time.Time) (pool string) {
		s.due(flow, now)
		picked := s.pick(now, 1)
		if len(picked) == 0 {
			return ""
		}
		s.claimed(now, picked[0], 0)
		s.pick(now, 1)
		s.prune(now)
		return picked[0].pool.name
	}
	require.Empty(t, send(noon), "it waits for its mail hosts")
	require.Equal(t, "a.example", s.nextUnknown())
	require.Empty(t, s.nextUnknown(), "once")
	s.assign("a.example", []string{"mx.big.example"})
	require.Equal(t, "big", send(noon))
	require.Equal(t, "big", send(noon.Add(59*time.Minute)))
	require.Empty(t, s.nextUnknown())
	s.prune(noon.Add(61 * time.Minute))
	require.Empty(t, s.lanes)
	require.Empty(t, send(noon.Add(61*time.Minute)))
	s.unanswered(s.nextUnknown())
	require.Equal(t, "a.example", send(noon.Add(61*time.Minute)))
	for i := range maxIdleLanes + 100 {
		s.lanes[fmt.Sprint(i)] = &way{asked: noon.Add(62 * time.Minute)}
	}
	s.prune(noon.Add(62 * time.Minute))
	require.LessOrEqual(t, len(s.lanes), maxIdleLanes)
}

// TestWindowGoesByTheProcessClock: times that carry the clock of the process are
// counted by it, so that a wall clock that is set does not shut a window for a year.
func TestWindowGoesByTheProcessClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{Window: Window{Limit: 10, Span: time.Second}}
		w.add(time.Now(), 10)
		require.Zero(t, w.free(time.Now()))
		require.WithinRange(t, w.again(time.Now()), time.Now().Add(time.Second), time.Now().Add(1100*time.Millisecond))
		time.Sleep(2 * time.Second)
		require.Equal(t, 10, w.free(time.Now()))
	})
}

// TestOldGrantIsHandedBack: what was granted in one slot and used much later would
// let more through in a day than its limit.
func TestOldGrantIsHandedBack(t *testing.T) {
	s := newScheduler(&Shaping{Total: Limit{PerDay: 100}}, true)
	s.due(Flow{Lane: "a.example"}, noon)
	require.Empty(t, s.pick(noon, 1))
	b := s.thirsty(noon)[0]
	s.granted(b, 5, noon, time.Time{})
	require.Len(t, s.pick(noon, 1), 1)
	require.Empty(t, s.leftovers(noon.Add(time.Minute)), "the same slot")
	unused := s.leftovers(noon.Add(2 * time.Hour))
	require.Len(t, unused, 1)
	require.Equal(t, 4, unused[0].left)
	require.Equal(t, noon, unused[0].since)
	require.Empty(t, s.pick(noon.Add(2*time.Hour), 1))
	require.Len(t, s.thirsty(noon.Add(2*time.Hour)), 1)
}

func TestSilenceIsNoSuccess(t *testing.T) {
	s := newScheduler(&Shaping{}, false)
	s.due(Flow{Lane: "a.example"}, noon)
	p := s.pick(noon, 1)[0]
	p.pool.inUse += 2
	s.total.inUse += 2
	s.finished(noon, p.pool, noon, &failure{})
	allowed := p.pool.allowed
	s.finished(noon, p.pool, noon, noSign)
	require.Equal(t, 1, p.pool.failures)
	require.Equal(t, allowed, p.pool.allowed)
}
