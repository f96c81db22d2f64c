package sqlitequeue_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/leak"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/tracking"
)

// victim names the file that a child process works on until it is killed.
const victim = "FRANQUEO_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		work(path)
	}
	leak.Main(m)
}

// bodyOf is the message of a job, so that whoever reads it can tell that it is whole.
func bodyOf(id tracking.ID) []byte {
	size := 100 + int(binary.BigEndian.Uint16(id[14:]))%8000
	return bytes.Repeat(id[:], size/16)
}

// work puts, claims and settles from several goroutines for ever, and says on
// standard output what was acknowledged.
func work(path string) {
	s, err := sqlitequeue.Open(path, nil)
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	var out sync.Mutex
	say := func(word string, id tracking.ID) {
		out.Lock()
		defer out.Unlock()
		_, _ = os.Stdout.WriteString(word + " " + id.String() + "\n") // one write, so whole or not at all
	}
	say("opened", tracking.ID{})
	flow := queue.Flow{Lane: "example.com"}
	for range 8 {
		go func() {
			for {
				id := tracking.NewID()
				body := bodyOf(id)
				_, err := s.Put(context.Background(), &queue.Batch{Hash: sha256.Sum256(body), Template: body, Jobs: []queue.Job{
					{ID: id, Flow: flow, Address: id.String() + "@example.com", Recipient: id[:], Key: id.String(), Due: noon},
				}})
				if err != nil {
					fmt.Println("failed", err)
					os.Exit(1)
				}
				say("put", id)
			}
		}()
	}
	for {
		leases, err := s.Claim(context.Background(), noon, noon.Add(time.Hour), []queue.FlowClaim{{Flow: flow, N: 5}})
		var changes []queue.Change
		for _, l := range leases {
			say("claimed", l.ID)
			changes = append(changes, queue.Change{
				ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true,
				Events: []tracking.Event{{ID: l.ID, Type: tracking.Delivered, Time: noon, Message: l.ID}},
			})
		}
		if err == nil {
			_, err = s.Settle(context.Background(), changes)
		}
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		for _, c := range changes {
			say("settled", c.ID)
		}
	}
}

// TestKill kills a process that works on a file, at random instants, and looks for
// what it had acknowledged.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 10
	if n := os.Getenv("FRANQUEO_KILLS"); n != "" {
		kills, _ = strconv.Atoi(n)
	}
	path := filepath.Join(t.TempDir(), "mail.db")
	said := map[string]map[tracking.ID]bool{"opened": {}, "put": {}, "claimed": {}, "settled": {}}
	for range kills {
		killOne(t, path, said)
		verify(t, path, said)
	}
	t.Logf("%d kills, %d jobs put, %d settled", kills, len(said["put"]), len(said["settled"]))
	require.NotEmpty(t, said["settled"])
}

func killOne(t *testing.T, path string, said map[string]map[tracking.ID]bool) {
	t.Helper()
	opened := make(chan bool, 1)
	process := workertest.Start(t, victim, path, func(line string) {
		word, id, _ := strings.Cut(line, " ")
		parsed, err := tracking.ParseID(id)
		switch {
		case err != nil || said[word] == nil:
			t.Errorf("the process says %q", line)
		case word == "opened":
			opened <- true
		default:
			said[word][parsed] = true
		}
	})
	select {
	case <-opened:
	case <-process.Ended():
	}
	time.Sleep(rand.N(60 * time.Millisecond)) // a random instant is the point
	process.Kill()
	require.Error(t, process.Wait(), "it was killed")
}

func verify(t *testing.T, path string, said map[string]map[tracking.ID]bool) {
	t.Helper()
	s, err := sqlitequeue.Open(path, &sqlitequeue.Options{CheckAll: true})
	require.NoError(t, err)
	defer s.Close()
	stored := map[tracking.ID]queue.Job{}
	var delivered int
	for _, job := range list(t, s) {
		stored[job.ID] = job
		require.Equal(t, job.ID.String()+"@example.com", job.Address)
		require.Equal(t, job.ID[:], job.Recipient)
		if job.State == queue.Delivered {
			delivered++
			require.Contains(t, said["claimed"], job.ID, "delivered, and never claimed")
		}
	}
	for id := range said["put"] {
		require.Contains(t, stored, id, "acknowledged, and lost")
	}
	for id := range said["settled"] {
		require.Equal(t, queue.Delivered, stored[id].State, "settled, and due again")
	}
	events, err := s.Events(t.Context(), queue.EventFilter{}, tracking.ID{}, 1<<30)
	require.NoError(t, err)
	require.Len(t, events, delivered, "an event with each settlement")
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, delivered, stats.ByState[queue.Delivered])
	require.Equal(t, len(stored)-delivered, stats.ByState[queue.Ready])
	for id := range stored { // a few, at random
		content, err := s.Template(t.Context(), stored[id].Template)
		require.NoError(t, err)
		require.Equal(t, bodyOf(id), content)
		if rand.IntN(20) == 0 {
			break
		}
	}
}
