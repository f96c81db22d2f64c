package pgqueue_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/pgqueue"
	"github.com/franqueo/franqueo/tracking"
)

// worker names the schema and the database that a child process works on until it is
// killed.
const worker = "FRANQUEO_WORKER"

var campaign = queue.Flow{Lane: "example.com", Campaign: "otoño"}

// leaseTime is longer than a restart of the server takes.
const leaseTime = 10 * time.Second

// work claims and settles for ever, whatever fails, and says on standard output what
// it sends, and what is settled.
func work(where string) {
	schema, address, _ := strings.Cut(where, " ")
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		panic(err)
	}
	var s *pgqueue.Store
	persist(func() (err error) {
		s, err = pgqueue.Open(ctx, pool, &pgqueue.Options{Schema: schema})
		return err
	})
	if os.Getenv(drains) != "" {
		drainOnce(ctx, s)
	}
	for {
		var leases []queue.Lease
		persist(func() (err error) {
			leases, err = s.Claim(ctx, time.Now(), time.Now().Add(leaseTime), []queue.FlowClaim{{Flow: campaign, N: 5}})
			return err
		})
		if len(leases) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		for _, l := range leases {
			say("sent", l.ID)
			change := queue.Change{ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true}
			persist(func() error {
				_, err := s.Settle(ctx, []queue.Change{change})
				return err
			})
			say("settled", l.ID)
		}
	}
}

func persist(f func() error) {
	for f() != nil {
		time.Sleep(20 * time.Millisecond)
	}
}

func say(word string, id tracking.ID) {
	_, _ = os.Stdout.WriteString(word + " " + id.String() + "\n") // one write, so whole or not at all
}

// crew is worker processes, and what they said.
type crew struct {
	*testing.T
	where   string
	workers []*exec.Cmd
	readers sync.WaitGroup

	mu       sync.Mutex // guards the others
	sent     map[string]int
	inFlight map[string]int // sent by a worker that was killed before it said more
}

func newCrew(t *testing.T, schema, address string, n int) *crew {
	c := &crew{T: t, where: schema + " " + address, sent: map[string]int{}, inFlight: map[string]int{}}
	for range n {
		c.hire()
	}
	t.Cleanup(c.dismiss)
	return c
}

func (c *crew) hire() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), worker+"="+c.where)
	out, err := cmd.StdoutPipe()
	require.NoError(c, err)
	require.NoError(c, cmd.Start())
	c.workers = append(c.workers, cmd)
	c.readers.Go(func() { c.listen(bufio.NewScanner(out)) })
}

// listen notes what a worker says until it is killed.
func (c *crew) listen(lines *bufio.Scanner) {
	open := map[string]bool{}
	for lines.Scan() {
		word, id, _ := strings.Cut(lines.Text(), " ")
		c.mu.Lock()
		if word == "sent" {
			c.sent[id]++
			open[id] = true
		} else {
			delete(open, id)
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range open {
		c.inFlight[id]++
	}
}

// kill kills the worker that has been there for longest.
func (c *crew) kill() {
	_ = c.workers[0].Process.Kill()
	_ = c.workers[0].Wait()
	c.workers = c.workers[1:]
}

func (c *crew) dismiss() {
	for len(c.workers) > 0 {
		c.kill()
	}
	c.readers.Wait()
}

// fillFrom puts jobs from some goroutines, whatever fails, and returns their IDs: all
// are acknowledged.
func fillFrom(t *testing.T, s *pgqueue.Store, producers, each int) (ids []tracking.ID) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for p := range producers {
		group.Go(func() {
			for i := range each {
				job := queue.Job{ID: tracking.NewID(), Flow: campaign, Address: fmt.Sprintf("r%d.%d@example.com", p, i), Due: time.Now()}
				persist(func() error {
					_, err := s.Put(t.Context(), &queue.Batch{Hash: queue.Hash{1}, Template: []byte("Hola"), Jobs: []queue.Job{job}})
					return err
				})
				mu.Lock()
				ids = append(ids, job.ID)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return ids
}

// check waits until all is delivered, and sees that each job was sent once, but for
// those that were in flight when their worker was killed.
func (c *crew) check(s *pgqueue.Store, ids []tracking.ID) {
	delivered := func() bool {
		stats, err := s.Stats(c.Context())
		return err == nil && stats.ByState[queue.Delivered] == len(ids)
	}
	require.Eventually(c, delivered, time.Minute, 20*time.Millisecond)
	time.Sleep(100 * time.Millisecond) // whoever would send more begins
	c.dismiss()
	for _, id := range ids {
		require.GreaterOrEqual(c, c.sent[id.String()], 1, "delivered, and never sent")
		require.LessOrEqual(c, c.sent[id.String()], 1+c.inFlight[id.String()], "sent twice, and was not in flight")
	}
	require.Len(c, c.sent, len(ids))
	c.Logf("%d jobs, %d in flight when their worker was killed", len(ids), len(c.inFlight))
}

// TestKillWorkers kills workers while jobs are put; new ones take their places.
func TestKillWorkers(t *testing.T) {
	t.Parallel()
	address := peer(t)
	pool := newPool(t, address)
	schema := newSchema(t, pool)
	s := open(t, pool, schema)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c := newCrew(t, schema, address, 3)
	var ids []tracking.ID
	for range 4 {
		ids = append(ids, fillFrom(t, s, 4, 50)...)
		c.kill()
		c.hire()
	}
	c.check(s, ids)
}
