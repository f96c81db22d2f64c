package queue_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/leak"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// TestMain lets the test binary be the program that is killed, and looks for
// goroutines that were left behind.
func TestMain(m *testing.M) {
	if url := os.Getenv("FRANQUEO_CRASH_URL"); url != "" {
		if err := victim(url, os.Getenv("FRANQUEO_CRASH_FILE"), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// victim queues mail and sends it until it is killed. It prints the address of each
// mail after Send has acknowledged it.
func victim(url, file string, out io.Writer) error {
	store, err := sqlitequeue.Open(file, nil)
	if err != nil {
		return err
	}
	relay, err := smtp.NewRelay(url, nil)
	if err != nil {
		return err
	}
	key := tracking.Key{ID: 1, Secret: bytes.Repeat([]byte{7}, 32)}
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{key}, nil)
	if err != nil {
		return err
	}
	q, err := queue.New(store, relay, tracker, &queue.Options{Retry: []time.Duration{50 * time.Millisecond}})
	if err != nil {
		return err
	}
	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola", Text: strings.Repeat("Una línea.\n", 100)})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { // an orderly end, for the last run: standard input is closed
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var senders sync.WaitGroup
	var mu sync.Mutex // guards out
	for range 4 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil && os.Getenv("FRANQUEO_CRASH_QUEUE") != ""; n++ {
				address := fmt.Sprintf("a%d-%d@d%d.example", os.Getpid(), rand.Uint64(), n%5)
				if _, err := q.Send(ctx, template, to(address)); err != nil {
					continue
				}
				mu.Lock()
				fmt.Fprintln(out, address)
				mu.Unlock()
			}
		})
	}
	err = q.Run(ctx)
	senders.Wait()
	return errors.Join(err, relay.Close(), store.Close())
}

// copied is one copy of a mail.
type copied struct {
	size int
	hash [32]byte
}

// record is what the server got: each copy, by address.
type record struct {
	mu     sync.Mutex // guards copies
	copies map[string][]copied
}

func (r *record) receive(m *smtptest.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, to := range m.To {
		r.copies[to.Addr] = append(r.copies[to.Addr], copied{len(m.Data), sha256.Sum256(m.Data)})
	}
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

// TestKilled kills a process that queues and sends at random instants. No mail that
// it had acknowledged may be missing, and copies of one mail must be the same
// bytes, and no more than were under way at a kill.
func TestKilled(t *testing.T) {
	received := &record{copies: map[string][]copied{}}
	server := smtptest.NewServer(&smtptest.Options{
		Receive: received.receive,
		Rules: []smtptest.Rule{
			{To: "*@d1.example", Times: 1, Reply: "451 4.7.1 Greylisted"},
			{To: "*@d2.example", On: smtptest.End, Delay: 2 * time.Millisecond},
		},
	})
	defer server.Close()
	file := filepath.Join(t.TempDir(), "mail.db")
	var acknowledged []string
	n := kills(t)
	for i := range n {
		acknowledged = append(acknowledged, killOne(t, server.URL(), file, i%2 == 0)...)
	}
	finish(t, server.URL(), file)

	received.mu.Lock()
	defer received.mu.Unlock()
	repeated := 0
	for _, address := range acknowledged {
		copies := received.copies[address]
		require.NotEmpty(t, copies, "%s was acknowledged and is missing", address)
	}
	for address, copies := range received.copies {
		repeated += len(copies) - 1
		for _, c := range copies {
			require.Equal(t, copies[0], c, "copies of %s differ", address)
		}
	}
	t.Logf("%d kills: %d mails acknowledged, none missing, %d repeated, all as the same bytes", n, len(acknowledged), repeated)
	require.NotEmpty(t, acknowledged)
	require.LessOrEqual(t, repeated, n*64, "no more than were under way: 64 attempts at once")
}

// startVictim runs the victim. Its stdin closes to end it in order.
func startVictim(t *testing.T, url, file string, env ...string) (cmd *exec.Cmd, stdin io.Closer, out *bufio.Reader) {
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), "FRANQUEO_CRASH_URL="+url, "FRANQUEO_CRASH_FILE="+file), env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, stdin, bufio.NewReader(stdout)
}

// killOne lets the victim work for a moment and kills it: at any time from its start
// on, or from its first mail on. It returns what was acknowledged: the whole lines of
// its output.
func killOne(t *testing.T, url, file string, fromStart bool) (acknowledged []string) {
	cmd, _, out := startVictim(t, url, file, "FRANQUEO_CRASH_QUEUE=1")
	if !fromStart {
		first, err := out.ReadString('\n')
		require.NoError(t, err)
		acknowledged = append(acknowledged, strings.TrimSpace(first))
	}
	time.Sleep(rand.N(200 * time.Millisecond)) // a random instant is the point
	require.NoError(t, cmd.Process.Kill())
	for {
		line, err := out.ReadString('\n')
		if err != nil {
			break // at the end of the last whole line
		}
		acknowledged = append(acknowledged, strings.TrimSpace(line))
	}
	_ = cmd.Wait()
	return acknowledged
}

// finish lets the victim send what is left.
func finish(t *testing.T, url, file string) {
	cmd, stdin, _ := startVictim(t, url, file)
	deadline := time.Now().Add(2 * time.Minute)
	for left := -1; left != 0; {
		require.True(t, time.Now().Before(deadline), "%d mails are left", left)
		time.Sleep(time.Second)
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait())
		left = unfinished(t, file)
		cmd, stdin, _ = startVictim(t, url, file)
	}
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
}

func unfinished(t *testing.T, file string) int {
	store, err := sqlitequeue.Open(file, nil)
	require.NoError(t, err)
	stats, err := store.Stats(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return stats.ByState[queue.Ready]
}
