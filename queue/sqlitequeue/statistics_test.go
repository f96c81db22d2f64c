package sqlitequeue_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

var _ tracking.Resolver = (*sqlitequeue.Store)(nil)

// TestStatistics has the store count, and resolve, what it recorded.
func TestStatistics(t *testing.T) {
	t.Parallel()
	s, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "cola de correo?.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	job := queue.Job{
		ID: tracking.NewID(), Address: "ana@example.com", Stream: "news", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
		Flow: queue.Flow{Lane: "example.com", Campaign: "otoño", Tenant: "acme"}, Due: noon,
	}
	_, err = s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{1}, Template: []byte("t"), Jobs: []queue.Job{job}})
	require.NoError(t, err)
	at := func(typ tracking.Type, second int, machine tracking.Machine) tracking.Event {
		return tracking.Event{ID: tracking.NewID(), Type: typ, Time: noon.Add(time.Duration(second) * time.Second), Message: job.ID, Machine: machine}
	}
	require.NoError(t, s.Record(t.Context(), []tracking.Event{
		at(tracking.Delivered, 1, 0), at(tracking.Opened, 2, tracking.MachineApplePrivacy), at(tracking.Clicked, 3, 0), at(tracking.Clicked, 4, 0),
		{ID: tracking.NewID(), Type: tracking.Bounced, Time: noon, Message: tracking.NewID(), Recipient: "bea@example.net", Campaign: "otoño", Reason: bounce.BadMailbox, Verdict: bounce.Hard},
	}))

	rows, err := s.Statistics(t.Context(), tracking.Query{By: tracking.ByCampaign})
	require.NoError(t, err)
	require.Equal(t, []tracking.Statistics{{
		Key: "otoño", Sent: 2, Delivered: 1, Bounced: 1, Hard: 1, Reasons: map[bounce.Reason]int{bounce.BadMailbox: 1},
		Opened:  tracking.Engagement{Human: 1, Machine: 1, MachineHits: 1},
		Clicked: tracking.Engagement{Human: 1, HumanHits: 2},
	}}, rows)
	domains, err := s.Statistics(t.Context(), tracking.Query{By: tracking.ByDomain})
	require.NoError(t, err)
	require.Len(t, domains, 2)

	mail, err := s.Resolve(t.Context(), job.ID, "")
	require.NoError(t, err)
	require.Equal(t, tracking.Mail{
		Recipient: "ana@example.com", Campaign: "otoño", Stream: "news", Tenant: "acme", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
		Delivered: noon.Add(time.Second), Clicked: true,
	}, mail)
	for _, unknown := range []tracking.ID{{}, tracking.NewID()} {
		_, err = s.Resolve(t.Context(), unknown, "00ff")
		require.ErrorIs(t, err, tracking.ErrUnknownMail)
	}
	require.NoError(t, s.Record(t.Context(), nil))
}
