package natsqueue // black box would not see states and what is stored

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// author makes up messages of several sessions, as far as they make sense for a state.
type author struct {
	*rand.Rand
	numbers  map[session]*[lines]uint64
	sessions []session
	known    []tracking.ID
	leases   []leased
	calls    uint64
	pending  map[session][]command // pieces of a batch that are to come
	now      time.Time
}

func newAuthor(seed uint64) *author {
	a := &author{Rand: rand.New(rand.NewPCG(seed, 1)), numbers: map[session]*[lines]uint64{}, pending: map[session][]command{}, now: noon}
	for i := range 3 {
		a.sessions = append(a.sessions, session{byte(i + 1)})
		a.numbers[a.sessions[i]] = &[lines]uint64{}
	}
	return a
}

func pick[T any](a *author, from []T) (v T) {
	if len(from) > 0 {
		v = from[a.IntN(len(from))]
	}
	return v
}

func (a *author) flow() queue.Flow {
	return queue.Flow{Lane: pick(a, []string{"example.com", "example.org", "ejemplo.es"}), Campaign: pick(a, []string{"", "marzo"})}
}

func (a *author) time() time.Time { return a.now.Add(time.Duration(a.IntN(7200)-3600) * time.Second) }

func (a *author) message() *message {
	a.now = a.now.Add(time.Duration(a.IntN(60_000)) * time.Millisecond)
	m := &message{session: pick(a, a.sessions), line: changes}
	switch a.IntN(10) {
	case 0, 1, 2:
		m.line = puts
		m.commands = a.pieces(m.session)
	case 3:
		m.line = snapshots
		m.commands = []command{&begin{until: 60_000, before: schedule.Millis(a.now.Add(-time.Hour))}}
	default:
		for range 1 + a.IntN(3) {
			m.commands = append(m.commands, a.change())
		}
	}
	numbers := a.numbers[m.session]
	if a.IntN(10) > 0 {
		numbers[m.line]++ // else it comes again
	}
	m.number = numbers[m.line]
	return m
}

// pieces are some of a batch.
func (a *author) pieces(of session) []command {
	if len(a.pending[of]) == 0 || a.IntN(10) == 0 {
		a.pending[of] = a.batch()
	}
	n := 1 + a.IntN(len(a.pending[of]))
	out := a.pending[of][:n]
	a.pending[of] = a.pending[of][n:]
	return out
}

func (a *author) batch() []command {
	s := &Store{gather: 600, opts: Options{Limit: pick(a, []int{0, 5, 1000})}}
	a.calls++
	s.batches.Store(a.calls)
	content := fmt.Sprint("plantilla ", a.IntN(5), strings.Repeat("-", a.IntN(1500)))
	b := &queue.Batch{Hash: queue.Hash{byte(len(content)), byte(a.IntN(2))}, Template: []byte(content)}
	for range a.IntN(12) {
		job := queue.Job{ID: tracking.NewID(), Flow: a.flow(), Address: "ana@example.com", Due: a.time(), State: queue.State(a.IntN(2))}
		if a.IntN(3) == 0 {
			job.Key, job.Digest = fmt.Sprint("clave ", a.IntN(30)), [16]byte{byte(a.IntN(20) / 19)}
		}
		if a.IntN(10) == 0 && len(a.known) > 0 {
			job.ID = pick(a, a.known)
		}
		a.known = append(a.known, job.ID)
		b.Jobs = append(b.Jobs, job)
	}
	return s.cut(b, a.IntN(3) > 0)
}

func (a *author) change() command {
	window := queue.Window{Name: pick(a, []string{"a", "b"}), Limit: 50, Span: time.Hour}
	address := pick(a, []string{"Ana@example.com", "bea@example.com", "ana@example.com"})
	filter := queue.Filter{Lane: pick(a, []string{"", "example.org"}), Campaign: pick(a, []string{"", "marzo"})}
	if a.IntN(2) == 0 {
		filter = queue.Filter{IDs: []tracking.ID{pick(a, a.known)}, States: []queue.State{queue.Ready, queue.Bounced}}
	}
	switch a.IntN(16) {
	case 0:
		return &suppress{[]queue.Suppression{{Address: address, Stream: pick(a, []string{"", "boletín"}), Reason: bounce.OptOut, Since: noon}}}
	case 1:
		return &unsuppress{address, ""}
	case 2:
		return &take{window, int64(a.IntN(20)), a.time().UnixNano()}
	case 3:
		return &giveBack{window, int64(a.IntN(20)), a.time().UnixNano()}
	case 4:
		return &applyTo{filter, queue.Action(a.IntN(4)), schedule.Millis(a.time())}
	case 5, 6, 7:
		return a.settle()
	case 8:
		return &heartbeat{queue.Worker{ID: pick(a, a.known), View: a.Uint64()}, int64(a.IntN(600_000))}
	case 9:
		return &leave{pick(a, a.known)}
	case 10:
		return &recordEvents{a.notes()}
	case 11:
		return &recorded{[]uint64{placeOf(uint64(a.IntN(3000)), a.IntN(3))}}
	}
	at := a.time()
	claims := []queue.FlowClaim{{Flow: a.flow(), N: a.IntN(5)}, {Flow: a.flow(), N: 2}}
	return &claim{schedule.Millis(at), schedule.Millis(at.Add(time.Minute)), claims}
}

func (a *author) settle() command {
	c := &settle{}
	for range a.IntN(4) {
		l := pick(a, a.leases)
		ch := queue.Change{ID: l.id, Token: l.token, State: queue.State(a.IntN(5)), Due: a.time(), Counts: a.IntN(2) == 0, Last: pick(a, []string{"", "250 ok", "451"})}
		if a.IntN(4) == 0 {
			ch = queue.Change{ID: l.id, Token: l.token, Extend: a.time()}
		}
		written := change{Change: ch}
		if a.IntN(3) == 0 {
			written.notes = a.notes()
		}
		c.changes = append(c.changes, written)
	}
	return c
}

func (a *author) notes() []note {
	e := tracking.Event{ID: tracking.ID{byte(a.IntN(20))}, Type: pick(a, []tracking.Type{tracking.Delivered, tracking.Unsubscribed, tracking.Resubscribed}), Recipient: "ana@example.com"}
	notes, err := notesOf([]tracking.Event{e})
	if err != nil {
		panic(err)
	}
	return notes
}

// learn notes what claims have leased.
func (a *author) learn(results []any) {
	for _, r := range results {
		if claimed, ok := r.([]leased); ok {
			a.leases = append(a.leases, claimed...)
		}
	}
}

// TestReplicas applies thousands of random messages to one state from end to end, and
// to another that is written down and read again in between, and looks for a
// difference.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		a, steady, moved := newAuthor(seed), newState(), newState()
		for sequence := uint64(1); sequence <= 3000; sequence++ {
			data := a.message().append(nil)
			at := moment{sequence: sequence, time: schedule.Millis(a.now), own: true}
			m, err := decodeMessage(data)
			require.NoError(t, err)
			require.Equal(t, data, m.append(nil))
			a.learn(steady.apply(m, len(data), at))
			at.own = false
			m, err = decodeMessage(data)
			require.NoError(t, err)
			moved.apply(m, len(data), at)
			if a.IntN(50) == 0 {
				written := steady.appendState(nil)
				require.Equal(t, written, moved.appendState(nil), "message %d", sequence)
				moved, err = decodeState(written)
				require.NoError(t, err)
				compareStates(t, steady, moved)
			}
		}
		require.NotZero(t, steady.jobs.len())
		require.NotEmpty(t, steady.snapshot.writing)
	}
}

// compareStates looks at what follows from a snapshot and is not in it.
func compareStates(t *testing.T, want, got *state) {
	t.Helper()
	require.Equal(t, want.live, got.live)
	require.Equal(t, want.schedule.Stats(), got.schedule.Stats())
	require.Equal(t, want.schedule.Len(), got.schedule.Len())
	require.Equal(t, users(want.flows), users(got.flows))
	require.Equal(t, users(want.templates), users(got.templates))
}

func users[K comparable](n names[K]) map[K]int {
	out := map[K]int{}
	for key, number := range n.numbers {
		out[key] = n.users[number]
	}
	return out
}

// TestPutIsAllOrNothing looks for what a refused batch leaves behind.
func TestPutIsAllOrNothing(t *testing.T) {
	t.Parallel()
	a, s := newAuthor(9), newState()
	apply := func(sequence uint64, b *queue.Batch) any {
		cut := (&Store{gather: 1 << 16}).cut(b, true)
		m := &message{session: session{1}, line: puts, number: sequence, commands: cut}
		results := s.apply(m, 100, moment{sequence: sequence, time: schedule.Millis(noon), own: true})
		return results[len(results)-1]
	}
	job := func(key string, digest byte) queue.Job {
		return queue.Job{ID: tracking.NewID(), Flow: a.flow(), Key: key, Digest: [16]byte{digest}, Due: noon}
	}
	require.Len(t, apply(1, &queue.Batch{Hash: queue.Hash{1}, Template: []byte("a"), Jobs: []queue.Job{job("clave", 1)}}), 1)
	err, ok := apply(2, &queue.Batch{Hash: queue.Hash{2}, Template: []byte("b"), Jobs: []queue.Job{job("otra", 1), job("clave", 2)}}).(error)
	require.True(t, ok)
	require.ErrorAs(t, err, new(*queue.KeyError))
	require.Len(t, s.templates.numbers, 1)
	require.Len(t, s.flows.numbers, 1)
	require.Len(t, s.live, 1)
	require.Len(t, s.keys, 1)
	require.Equal(t, 1, s.jobs.len())
}
