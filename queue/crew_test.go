package queue

// Inside the package: that shares never exceed a limit is a promise about all states in
// which workers can be together, and most of them show for moments only.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// crewOf is some worker's crew that counts on these, and sends.
func crewOf(self tracking.ID, ids []tracking.ID, total Limit) *crew {
	c := newCrew()
	c.self = self
	for _, id := range ids {
		c.members = append(c.members, member{id: id})
	}
	c.choose(total)
	return c
}

func someIDs(r *rand.Rand, n int) []tracking.ID {
	ids := make([]tracking.ID, n)
	for i := range ids {
		for j := range ids[i] {
			ids[i][j] = byte(r.Uint32())
		}
	}
	slices.SortFunc(ids, func(a, b tracking.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// shareOf is what a worker that counts on these has of a limit.
func shareOf(self tracking.ID, ids []tracking.ID, pool string, limit int) int {
	at, among := crewOf(self, ids, Limit{}).place(pool)
	return part(limit, at, among)
}

func TestSharesAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		ids, limit, pool := someIDs(r, 1+r.IntN(12)), 1+r.IntN(30), fmt.Sprint("pool", i)
		sum, most, least := 0, 0, limit
		for _, id := range ids {
			n := shareOf(id, ids, pool, limit)
			sum, most, least = sum+n, max(most, n), min(least, n)
		}
		require.Equal(t, limit, sum)
		require.LessOrEqual(t, most-least, 1)
	}
}

// TestSharesNeverGrowWithTheCrew is what all of it rests on: workers that do not agree
// yet on who is there exceed no limit, as long as each counts on all who send.
func TestSharesNeverGrowWithTheCrew(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 2000 {
		all, limit, pool := someIDs(r, 2+r.IntN(10)), 1+r.IntN(15), fmt.Sprint("pool", i)
		some := slices.DeleteFunc(slices.Clone(all), func(tracking.ID) bool { return r.IntN(3) == 0 })
		for _, id := range some {
			require.LessOrEqual(t, shareOf(id, all, pool, limit), shareOf(id, some, pool, limit))
		}
	}
}

// TestSmallLimitsAreSpread: of many pools that one worker can serve at a time, each has
// about as many.
func TestSmallLimitsAreSpread(t *testing.T) {
	ids := someIDs(rand.New(rand.NewPCG(5, 6)), 3)
	count := map[tracking.ID]int{}
	for i := range 3000 {
		for _, id := range ids {
			count[id] += shareOf(id, ids, fmt.Sprintf("empresa%d.example", i), 1)
		}
	}
	for _, id := range ids {
		require.InDelta(t, 1000, count[id], 100)
	}
}

// TestScarceTotalStrandsNoPool: where the limits of all mail leave nothing to some
// workers, every pool is with one that may send.
func TestScarceTotalStrandsNoPool(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 200 {
		ids := someIDs(r, 6)
		limit := Limit{Connections: 1 + r.IntN(8), PerSecond: r.IntN(8)}
		pool, sum, senders := fmt.Sprint("pool", i), 0, 0
		for _, id := range ids {
			s := newScheduler(&Shaping{Total: limit, Lane: Limit{Connections: 2, PerSecond: 1}}, false)
			s.crew = crewOf(id, ids, limit)
			s.divide(s.total)
			p := s.poolOf(pool, nil)
			sum += min(p.connections, 1)
			if p.connections > 0 {
				n, _ := p.room(noon, nil)
				require.Equal(t, 1, n)
				n, _ = s.total.room(noon, nil)
				require.NotZero(t, n, "it could send to this pool, and may send nothing")
				senders++
			}
		}
		require.Equal(t, 1, sum)
		require.Equal(t, 1, senders)
	}
}

// TestFlowsOfOthersAreForgotten: what is left to other workers takes no memory, and is
// served when it falls to this one.
func TestFlowsOfOthersAreForgotten(t *testing.T) {
	ids := someIDs(rand.New(rand.NewPCG(10, 11)), 2)
	s := newScheduler(&Shaping{Lane: Limit{Connections: 1}}, false)
	s.crew = crewOf(ids[0], ids, Limit{})
	s.crew.started, s.crew.until = true, noon.Add(time.Hour)
	const lanes = 100
	for i := range lanes {
		s.due(Flow{Lane: fmt.Sprintf("l%d.example", i)}, noon)
	}
	ours := len(s.pick(noon, lanes))
	require.InDelta(t, lanes/2, ours, lanes/5)
	s.prune(noon)
	require.Len(t, s.flows, ours)
	require.Len(t, s.lines, ours)
	s.heard(noon, noon, []Worker{{ID: ids[0]}})
	s.heard(noon, noon.Add(trail), []Worker{{ID: ids[0]}})
	for i := range lanes {
		s.due(Flow{Lane: fmt.Sprintf("l%d.example", i)}, noon.Add(trail)) // the next sweep
	}
	require.Len(t, s.pick(noon.Add(trail), lanes), lanes-ours)
}

// workplace is a store's roster, and workers that come, go, die and are cut off, on a
// clock of its own.
type workplace struct {
	*testing.T
	*rand.Rand
	now     time.Time
	shaping Shaping
	entries map[tracking.ID]entry
	workers []*worker
	sent    []time.Time
	most    int // attempts at the same time
}

type entry struct {
	Worker
	until time.Time
}

type worker struct {
	*scheduler
	beatAt   time.Time // when the next heartbeat is sent
	cutOff   time.Time // until when its heartbeats fail
	leaving  bool
	answerAt time.Time // when the store's answer arrives; zero: none is awaited
	sentAt   time.Time
	answer   []Worker
	attempts []attemptUntil
}

type attemptUntil struct {
	pool *pool
	by   tracking.ID // the worker, as it was called then
	end  time.Time
}

// step lets 10 ms pass.
func (w *workplace) step() {
	w.now = w.now.Add(10 * time.Millisecond)
	for _, k := range w.workers {
		w.work(k)
		w.talk(k)
	}
	w.workers = slices.DeleteFunc(w.workers, func(k *worker) bool { return k.leaving && len(k.attempts) == 0 && w.leave(k) })
}

// work ends what is to end, and starts what the worker may.
func (w *workplace) work(k *worker) {
	k.attempts = slices.DeleteFunc(k.attempts, func(a attemptUntil) bool {
		if w.now.Before(a.end) {
			return false
		}
		k.finished(w.now, a.pool, a.end, nil)
		return true
	})
	if k.leaving {
		return
	}
	for _, share := range k.pick(w.now, 100) {
		k.claimed(w.now, share, share.N)
		for range share.N {
			k.attempts = append(k.attempts, attemptUntil{share.pool, k.crew.self, w.now.Add(w.someTime(6 * time.Second))})
			w.sent = append(w.sent, w.now)
		}
	}
}

// talk has the worker be heard when it is time: its entry is written, then the others'
// are read, and the answer arrives later.
func (w *workplace) talk(k *worker) {
	switch {
	case !k.answerAt.IsZero():
		if w.now.Before(k.answerAt) {
			return
		}
		k.answerAt = time.Time{}
		k.beatAt = w.now.Add(beatEvery / 4)
		if k.answer != nil && k.heard(k.sentAt, w.now, k.answer) {
			k.beatAt = w.now.Add(beatEvery)
		}
	case w.now.Before(k.beatAt):
	default:
		me, dead := k.report(w.now)
		k.sentAt, k.answer = w.now, nil
		if k.answerAt = w.now.Add(w.someTime(beatTime)); w.now.After(k.cutOff) {
			delete(w.entries, dead)
			k.answer = w.heartbeat(me)
		}
	}
}

func (w *workplace) someTime(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d))) }

func (w *workplace) heartbeat(me Worker) (alive []Worker) {
	w.entries[me.ID] = entry{me, w.now.Add(timeToLive + trail)}
	for id, e := range w.entries {
		if w.now.Before(e.until) {
			alive = append(alive, e.Worker)
		} else {
			delete(w.entries, id)
		}
	}
	slices.SortFunc(alive, func(a, b Worker) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return alive
}

func (w *workplace) hire() {
	s := newScheduler(&w.shaping, false)
	s.due(Flow{Lane: "correo.example"}, noon)
	s.enlist()
	w.workers = append(w.workers, &worker{scheduler: s, beatAt: w.now})
}

func (w *workplace) leave(k *worker) bool {
	delete(w.entries, k.retire())
	return true
}

// happen is what goes on in a workplace: most of the time nothing.
func (w *workplace) happen() {
	if w.IntN(300) > 0 {
		return
	}
	i := w.IntN(len(w.workers))
	switch event := w.IntN(4); {
	case event == 0 || i == 0: // the first stays: who finds nobody does not know what was sent just before
		if len(w.workers) < 7 {
			w.hire()
		}
	case event == 1:
		w.workers[i].cutOff = w.now.Add(w.someTime(3 * timeToLive))
	case event == 2:
		w.workers[i].leaving = true
	default: // it dies, with what it was doing
		w.workers = slices.Delete(w.workers, i, i+1)
	}
}

// check sees that no limit is exceeded.
func (w *workplace) check(l Limit) {
	sending := 0
	for _, k := range w.workers {
		for _, a := range k.attempts {
			if a.by == k.crew.self && !passed(w.now, k.crew.until) { // not what began before it was taken for dead
				sending++
			}
		}
	}
	w.most = max(w.most, sending)
	if sending > l.Connections {
		w.Fatalf("%d at once after %v", sending, w.now.Sub(noon))
	}
	if n := len(w.sent); n > l.PerSecond {
		w.sent = w.sent[n-l.PerSecond-1:]
		require.GreaterOrEqual(w, w.sent[l.PerSecond].Sub(w.sent[0]), time.Second, "at %v", w.now.Sub(noon))
	}
}

// TestLimitsHoldWhateverHappens plays minutes of comings and goings many times over.
func TestLimitsHoldWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 9))
			limit := Limit{Connections: 1 + r.IntN(12), PerSecond: 2 + r.IntN(20)}
			w := &workplace{T: t, Rand: r, now: noon, shaping: Shaping{Lane: limit}, entries: map[tracking.ID]entry{}}
			w.hire()
			for range 6000 { // a minute
				w.happen()
				w.step()
				w.check(limit)
			}
			for range 3000 { // half a minute in which nothing new happens
				w.step()
				w.check(limit)
			}
			var shares []int
			for _, k := range w.workers {
				require.True(t, k.leaving || k.crew.settled())
				if p := k.pools["correo.example"]; p != nil {
					shares = append(shares, p.connections)
				}
			}
			require.Equal(t, limit.Connections, sum(shares), "what is allowed is used")
			t.Logf("%d workers, %v of %d connections", len(w.workers), shares, limit.Connections)
		})
	}
}

func sum(n []int) (all int) {
	for _, v := range n {
		all += v
	}
	return all
}
