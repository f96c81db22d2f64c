package natsqueue // black box could not stop between two steps

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
	"github.com/franqueo/franqueo/tracking"
)

func openOn(t *testing.T, cluster *natstest.Cluster) *Store {
	t.Helper()
	s, err := Open(t.Context(), cluster.Connect(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func stateOf(s *Store) (b []byte) {
	s.look(func(st *state) { b = st.appendState(nil) })
	return b
}

// requireEqualStates waits until two processes have the same state.
func requireEqualStates(t *testing.T, a, b *Store) {
	t.Helper()
	require.Eventually(t, func() bool { return string(stateOf(a)) == string(stateOf(b)) }, time.Minute, 10*time.Millisecond)
}

func putOne(t *testing.T, s *Store) {
	t.Helper()
	text := []byte("Hola")
	jobs := []queue.Job{{ID: tracking.NewID(), Flow: queue.Flow{Lane: "example.com"}, Due: noon}}
	_, err := s.Put(t.Context(), &queue.Batch{Hash: sha256.Sum256(text), Template: text, Jobs: jobs})
	require.NoError(t, err)
}

// TestSnapshotCrash ends processes in the middle of a snapshot: the one before stays
// good, and another process writes the next.
func TestSnapshotCrash(t *testing.T) {
	cluster := natstest.New(t, 3)
	s := openOn(t, cluster)
	putOne(t, s)
	require.NoError(t, s.writeSnapshot(t.Context(), noon))
	putOne(t, s)
	d, err := do[*draft](t.Context(), s, "begin", &begin{until: 1, before: 0}, nil)
	require.NoError(t, err)
	putOne(t, s)
	requireEqualStates(t, s, openOn(t, cluster)) // begun, and no more

	chunks, err := s.writeChunks(t.Context(), d)
	require.NoError(t, err)
	putOne(t, s)
	requireEqualStates(t, s, openOn(t, cluster)) // written, and not said so

	<-time.After(2 * time.Millisecond)
	other := openOn(t, cluster)
	putOne(t, other)
	require.NoError(t, other.writeSnapshot(t.Context(), noon))
	counts, err := do[bool](t.Context(), s, "finish", &finish{chunks.snapshot}, nil)
	require.NoError(t, err)
	require.False(t, counts, "a snapshot that came too late counts")
	last := openOn(t, cluster)
	requireEqualStates(t, other, last)
	requireEqualStates(t, s, last)
	require.Equal(t, 5, last.state.jobs.len())
}

// TestSnapshotAlone has one process write a snapshot, and no other before its time is
// over.
func TestSnapshotAlone(t *testing.T) {
	cluster := natstest.New(t, 3)
	a, b := openOn(t, cluster), openOn(t, cluster)
	putOne(t, a)
	d, err := do[*draft](t.Context(), a, "begin", &begin{until: time.Hour.Milliseconds()}, nil)
	require.NoError(t, err)
	require.NotNil(t, d)
	d, err = do[*draft](t.Context(), b, "begin", &begin{until: time.Hour.Milliseconds()}, nil)
	require.NoError(t, err)
	require.Nil(t, d)
}

// TestPublishedAgain stores a message twice, as it happens when its acknowledgement is
// lost and the server has forgotten it, and once more after a later one.
func TestPublishedAgain(t *testing.T) {
	cluster := natstest.New(t, 3)
	s := openOn(t, cluster)
	window := queue.Window{Name: "pool", Limit: 100, Span: time.Hour}
	of := session{7}
	publish := func(number uint64, id string) {
		m := &message{session: of, line: changes, number: number, commands: []command{&take{window, 10, noon.UnixNano()}}}
		raw := &nats.Msg{Subject: s.subject(subjects[changes]), Data: m.append(nil)}
		require.NoError(t, s.persist(t.Context(), raw, id, func() bool { return true }))
	}
	publish(1, "a")
	publish(1, "a")
	publish(1, "b")
	publish(2, "c")
	publish(1, "d")
	publish(2, "e")
	n, _, err := s.Take(t.Context(), window, 100, noon)
	require.NoError(t, err)
	require.Equal(t, 80, n)
}

// TestUnknownVersion opens a stream that a later release has written to, and has one
// open that it writes to.
func TestUnknownVersion(t *testing.T) {
	cluster := natstest.New(t, 3)
	s := openOn(t, cluster)
	raw := &nats.Msg{Subject: s.subject(subjects[changes]), Data: []byte{format + 1, 2, 3}}
	require.NoError(t, s.persist(t.Context(), raw, "later", func() bool { return true }))
	_, err := Open(t.Context(), cluster.Connect(), nil)
	require.ErrorIs(t, err, queue.ErrCorrupt)
	require.Eventually(t, func() bool {
		_, err = s.Stats(t.Context())
		return err != nil
	}, time.Minute, 10*time.Millisecond)
	require.ErrorIs(t, err, queue.ErrCorrupt)
}
