package queue_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/leak"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
)

// TestMain lets the test binary be the program that is killed, and looks for
// goroutines that were left behind.
func TestMain(m *testing.M) {
	workertest.Main(func(_ context.Context, file string) (queue.Store, error) { return sqlitequeue.Open(file, nil) })
	leak.Main(m)
}

// kills is how often TestKilled kills: FRANQUEO_KILLS, or a few.
func kills(t *testing.T) int {
	text := os.Getenv("FRANQUEO_KILLS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// TestKilled kills a process that queues and sends at random instants: at any time from
// its start on, or from its first mail on.
func TestKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.db")
	crew := workertest.New(t, 3*time.Millisecond)
	for i := range kills(t) {
		w := crew.Hire(file)
		if i%2 == 1 {
			w.Await(1)
		}
		time.Sleep(rand.N(200 * time.Millisecond)) // a random instant is the point
		w.Kill()
	}
	crew.Hire(file)
	crew.Finish()
}
