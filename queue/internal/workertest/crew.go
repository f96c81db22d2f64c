// Package workertest has processes of their own queue mail into one store and send it
// to one SMTP server, while a test kills them, cuts them off, and stops what the store
// runs on. It knows nothing of the store but how a worker opens it.
//
// The SMTP server is the judge. Whatever happens:
//
//   - each mail that Send or SendAll has acknowledged arrives;
//   - the copies of a mail are the same bytes, Message-ID included;
//   - of the copies of a mail at most one comes from an attempt that no fault met.
//     An attempt is in flight from when the transport gets the mail until the store
//     knows its outcome. A fault meets it if it kills the worker in that time, or
//     keeps it from the store;
//   - a fault repeats no more mails than a worker has attempts under way,
//     [Concurrency], for each worker that it met.
//
// Use it so, with [Main] in TestMain:
//
//	crew := workertest.New(t, 30*time.Millisecond)
//	first, second := crew.Hire(where), crew.Hire(where)
//	first.Kill()
//	second.Await(100)
//	crew.Finish()
package workertest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// Concurrency is that of each worker's queue.
const Concurrency = 8

// patience is how long anything may take that is waited for. It is far longer than a
// lease.
const patience = 5 * time.Minute

// Crew is workers, the server that they send to, and what is known of the mail.
type Crew struct {
	*testing.T
	server *smtptest.Server
	rest   time.Duration

	mu           sync.Mutex // guards all below, and what is known of each worker
	workers      []*Worker  // all that there have been, by their numbers
	acknowledged []string   // addresses of mail
	copies       map[string][]received
}

// received is one copy of a mail, as the server took it.
type received struct {
	hello  string
	id     string
	digest [32]byte
	at     time.Time
}

// New returns a crew without workers, each of which rests for a while after each call
// that queues mail, longer after a batch. They end with the test.
func New(t *testing.T, rest time.Duration) *Crew {
	c := &Crew{T: t, rest: rest, copies: map[string][]received{}}
	c.server = smtptest.NewServer(&smtptest.Options{
		TLS: smtptest.NoTLS, Receive: c.receive,
		Rules: []smtptest.Rule{
			{To: "*@d1.*", Times: 1, Reply: "451 4.7.1 Vuelva a intentarlo"},
			{On: smtptest.End, Delay: 5 * time.Millisecond}, // so that kills meet mail whose fate is open
		},
	})
	t.Cleanup(c.server.Close)
	return c
}

func (c *Crew) receive(m *smtptest.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, to := range m.To {
		c.copies[to.Addr] = append(c.copies[to.Addr], received{m.Hello, m.Header("Message-ID"), sha256.Sum256(m.Data), time.Now()})
	}
}

// Worker is a process that queues and sends mail.
type Worker struct {
	*Crew
	process *Process
	name    string
	gone    bool // killed or stopped

	// Guarded by the crew's mutex.
	attempts       map[string][]attempt // by address
	settled        int
	finished, idle bool
	troubles       []*trouble
}

// attempt is from when the transport got a mail until the store knew that it was
// delivered; zero if it never did.
type attempt struct{ begun, settled time.Time }

// trouble is a time in which a fault keeps a worker from settling what is in flight.
// A zero end never comes.
type trouble struct {
	begin, end time.Time
	repeated   int // mails
}

// Hire starts a worker on the store there.
func (c *Crew) Hire(where string) *Worker {
	c.Helper()
	c.mu.Lock()
	w := &Worker{Crew: c, name: fmt.Sprintf("w%d.example", len(c.workers)), attempts: map[string][]attempt{}}
	c.workers = append(c.workers, w)
	c.mu.Unlock()
	text, err := json.Marshal(order{Name: w.name, Where: where, Relay: c.server.URL(), Rest: c.rest})
	require.NoError(c, err)
	w.process = Start(c, variable, string(text), w.hear)
	return w
}

// hear notes what a worker says.
func (w *Worker) hear(line string) {
	words := strings.Fields(line)
	if len(words) != 3 {
		w.Errorf("worker %s says %q", w.name, line)
		return
	}
	address := words[1]
	nanos, _ := strconv.ParseInt(words[2], 10, 64)
	at := time.Unix(0, nanos)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch words[0] {
	case "acknowledged":
		w.acknowledged = append(w.acknowledged, address)
	case "trying":
		w.attempts[address] = append(w.attempts[address], attempt{begun: at})
	case "settled":
		w.settled++
		tried := w.attempts[address]
		tried[len(tried)-1].settled = at
	case "finished":
		w.finished = true
	case "idle":
		w.idle = true
	}
}

// Kill ends the worker at once.
func (w *Worker) Kill() {
	w.gone = true
	w.trouble()
	w.process.Kill()
}

func (w *Worker) trouble() *trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &trouble{begin: time.Now()}
	w.troubles = append(w.troubles, t)
	return t
}

// Trouble is called before a fault keeps workers from the store. The function that it
// returns is called when that is mended: it waits until each of them that is still
// there has sent mail again, which ends the fault's effects.
func (c *Crew) Trouble(workers ...*Worker) (mended func()) {
	troubles := make([]*trouble, len(workers))
	for i, w := range workers {
		troubles[i] = w.trouble()
	}
	return func() {
		c.Helper()
		for i, w := range workers {
			if !w.gone {
				w.Await(2 * Concurrency) // more than can have been under way
			}
			c.mu.Lock()
			troubles[i].end = time.Now()
			c.mu.Unlock()
		}
	}
}

// Await waits until the worker has sent and settled n more mails.
func (w *Worker) Await(n int) {
	w.Helper()
	w.mu.Lock()
	want := w.settled + n
	w.mu.Unlock()
	w.wait(func() bool { return w.settled >= want }, "%s to send %d mails", w.name, n)
}

// All waits until each worker that is there has sent and settled n more mails.
func (c *Crew) All(n int) {
	c.Helper()
	for _, w := range c.present() {
		w.Await(n)
	}
}

// Arrivals waits until n more mails have arrived, whoever sends them.
func (c *Crew) Arrivals(n int) {
	c.Helper()
	c.mu.Lock()
	want := len(c.copies) + n
	c.mu.Unlock()
	c.wait(func() bool { return len(c.copies) >= want }, "%d mails", n)
}

// wait waits for a condition, which holds the mutex.
func (c *Crew) wait(condition func() bool, format string, args ...any) {
	c.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		met := condition()
		c.mu.Unlock()
		if met {
			return
		}
		for _, w := range c.present() {
			require.False(c, closed(w.process.Ended()), "%s ended by itself", w.name)
		}
		if time.Now().After(deadline) {
			c.Fatalf("waited %v for %s", patience, fmt.Sprintf(format, args...))
		}
	}
}

// present are the workers that are there.
func (c *Crew) present() (out []*Worker) {
	for _, w := range c.workers {
		if !w.gone {
			out = append(out, w)
		}
	}
	return out
}

// Finish has the workers queue no more and send all that is left, stops them, and
// checks all that happened. Some worker must be there.
func (c *Crew) Finish() {
	c.Helper()
	workers := c.present()
	require.NotEmpty(c, workers)
	all := func(of func(*Worker) bool) func() bool {
		return func() bool {
			for _, w := range workers {
				if !of(w) {
					return false
				}
			}
			return true
		}
	}
	for _, w := range workers {
		w.process.Say("finish")
	}
	c.wait(all(func(w *Worker) bool { return w.finished }), "the workers to queue no more")
	for _, w := range workers {
		w.process.Say("idle?")
	}
	c.wait(all(func(w *Worker) bool { return w.idle }), "the store to be empty")
	for _, w := range workers {
		w.Stop()
	}
	c.check()
}

// Stop has the worker end in order.
func (w *Worker) Stop() {
	w.Helper()
	w.gone = true
	w.process.CloseInput()
	require.NoError(w, w.process.Wait(), "%s", w.name)
}

// EndLeases stops all workers in order, and then ends the leases of those that were
// killed, as time would: it claims as one does whose clock shows a later hour. With
// FRANQUEO_WAIT set it leaves that to time, and the workers at work.
func (c *Crew) EndLeases(open Open, where string) {
	c.Helper()
	if os.Getenv("FRANQUEO_WAIT") != "" {
		return
	}
	for _, w := range c.present() {
		w.Stop()
	}
	store, err := open(c.Context(), where)
	require.NoError(c, err)
	var claims []queue.FlowClaim
	require.NoError(c, store.Flows(c.Context(), func(f queue.Flow, _ time.Time) bool {
		claims = append(claims, queue.FlowClaim{Flow: f, N: 1 << 20})
		return true
	}))
	later := time.Now().Add(24 * time.Hour)
	leases, err := store.Claim(c.Context(), later, later.Add(time.Hour), claims)
	require.NoError(c, err)
	changes := make([]queue.Change, len(leases))
	for i, l := range leases {
		changes[i] = queue.Change{ID: l.ID, Token: l.Token, State: queue.Ready, Due: time.Now()}
	}
	stale, err := store.Settle(c.Context(), changes)
	require.NoError(c, err)
	require.Empty(c, stale)
	require.NoError(c, store.Close())
}

// check holds what arrived against what was acknowledged and what went wrong.
func (c *Crew) check() {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.NotEmpty(c, c.acknowledged)
	for _, address := range c.acknowledged {
		require.NotEmpty(c, c.copies[address], "the mail to %s was acknowledged and is missing", address)
	}
	repeated := 0
	for address, copies := range c.copies {
		for _, other := range copies[1:] {
			require.Equal(c, copies[0].id, other.id, "two mails to %s", address)
			require.Equal(c, copies[0].digest, other.digest, "copies of the mail to %s differ", address)
		}
		repeated += len(copies) - 1
		c.blame(address, copies)
	}
	faults := 0
	for _, w := range c.workers {
		for _, t := range w.troubles {
			faults++
			require.LessOrEqual(c, t.repeated, Concurrency, "one fault of %s repeated more than was under way", w.name)
		}
	}
	c.Logf("%d mails acknowledged, none missing; %d faults of workers; %d mails repeated, all of them in flight at a fault", len(c.acknowledged), faults, repeated)
}

// blame finds the fault of each copy of a mail but the one that was to be.
func (c *Crew) blame(address string, copies []received) {
	c.Helper()
	extra := len(copies) - 1
	for _, copied := range copies {
		if extra == 0 {
			return
		}
		if t := c.worker(copied.hello).met(address, copied.at); t != nil {
			t.repeated++
			extra--
		}
	}
	require.Zero(c, extra, "the mail to %s was repeated without having been in flight at a fault: %s", address, c.story(address, copies))
}

func (c *Crew) worker(name string) *Worker {
	for _, w := range c.workers {
		if w.name == name {
			return w
		}
	}
	require.Fail(c, "no worker", "%q", name)
	return nil
}

// met is the fault that met the attempt of which a copy came, or nil.
func (w *Worker) met(address string, arrived time.Time) *trouble {
	var of attempt
	for _, a := range w.attempts[address] {
		if !a.begun.After(arrived) {
			of = a
		}
	}
	for _, t := range w.troubles {
		if (of.settled.IsZero() || !t.begin.After(of.settled)) && (t.end.IsZero() || !of.begun.After(t.end)) {
			return t
		}
	}
	return nil
}

// story is all that is known of a mail, for people.
func (c *Crew) story(address string, copies []received) string {
	var b strings.Builder
	for _, copied := range copies {
		fmt.Fprintf(&b, "\narrived from %s at %s", copied.hello, clock(copied.at))
	}
	for _, w := range c.workers {
		for _, a := range w.attempts[address] {
			fmt.Fprintf(&b, "\n%s began at %s, settled at %s", w.name, clock(a.begun), clock(a.settled))
		}
		for _, t := range w.troubles {
			fmt.Fprintf(&b, "\n%s in trouble from %s to %s", w.name, clock(t.begin), clock(t.end))
		}
	}
	return b.String()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("15:04:05.000")
}
