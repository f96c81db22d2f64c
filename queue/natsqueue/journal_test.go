package natsqueue // black box could not be a process that is gone

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/natsqueue/internal/natstest"
	"github.com/franqueo/franqueo/tracking"
)

// TestEventsOfTheGone stores events as a process does that is gone before it has
// taken them to their stream: they are there at once, and another process takes them.
func TestEventsOfTheGone(t *testing.T) {
	cluster := natstest.New(t, 3)
	s := openOn(t, cluster)
	var events []tracking.Event
	for i := range 3 {
		events = append(events, tracking.Event{ID: tracking.NewID(), Type: tracking.Opened, Time: noon.Add(time.Duration(i) * time.Second), Recipient: fmt.Sprintf("r%d@example.com", i)})
	}
	notes, err := notesOf(append(events, events[0]))
	require.NoError(t, err)
	m := &message{session: session{7}, line: changes, number: 1, commands: []command{&recordEvents{notes}}}
	require.NoError(t, s.persist(t.Context(), &nats.Msg{Subject: s.subject(subjects[changes]), Data: m.append(nil)}, "gone", func() bool { return true }))
	look := func() []tracking.Event {
		found, err := s.Events(t.Context(), queue.EventFilter{}, tracking.ID{}, 10)
		require.NoError(t, err)
		return found
	}
	require.Eventually(t, func() bool { return len(look()) > 0 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, events, look())

	s.recorder.adopt(time.Now())
	s.look(func(st *state) { require.NotEmpty(t, st.pending, "taken from a process that may be alive") })
	s.recorder.adopt(time.Now().Add(2 * adoptTime))
	require.Eventually(t, func() (none bool) {
		s.look(func(st *state) { none = len(st.pending) == 0 })
		return none
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, events, look())
	stream, err := s.openEvents(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(3), stream.CachedInfo().State.Msgs)

	after, err := s.Events(t.Context(), queue.EventFilter{Recipient: events[1].Recipient}, events[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, events[1:2], after)
	requireEqualStates(t, s, openOn(t, cluster))
}
