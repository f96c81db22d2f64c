//go:build unix

package queue_test

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
	"github.com/franqueo/franqueo/tracking"
)

// sink counts what arrives.
type sink struct {
	*smtptest.Server
	count atomic.Int64
}

func newSink(b *testing.B) *sink {
	s := &sink{}
	s.Server = smtptest.NewServer(&smtptest.Options{EnvelopeOnly: true, TLS: smtptest.NoTLS, Receive: func(*smtptest.Message) { s.count.Add(1) }})
	b.Cleanup(s.Close)
	return s
}

// waitFor waits until so many have arrived.
func (s *sink) waitFor(b *testing.B, n int64) {
	for deadline := time.Now().Add(5 * time.Minute); s.count.Load() < n; time.Sleep(time.Millisecond) {
		require.True(b, time.Now().Before(deadline), "%d of %d arrived", s.count.Load(), n)
	}
}

// BenchmarkEndToEnd queues mails of 10 KiB durably, renders, sends and settles them:
// franqueo, and a Postfix that relays the same mails to the same sink. It reports
// mails a second, and the ratio.
func BenchmarkEndToEnd(b *testing.B) {
	const mails = 5000
	ours := endToEnd(b, mails)
	b.ReportMetric(ours, "mails/s")
	if postfix, err := exec.LookPath("postfix"); err == nil && os.Geteuid() == 0 {
		theirs := throughPostfix(b, postfix, mails)
		b.ReportMetric(theirs, "postfix-mails/s")
		b.ReportMetric(ours/theirs, "x-postfix")
	} else if os.Getenv("FRANQUEO_CI") != "" {
		b.Fatal("no Postfix to compare with")
	}
	b.ReportMetric(0, "ns/op")
}

func endToEnd(b *testing.B, mails int) (perSecond float64) {
	s := newSink(b)
	store, err := sqlitequeue.Open(filepath.Join(b.TempDir(), "mail.db"), nil)
	require.NoError(b, err)
	defer store.Close()
	relay, err := smtp.NewRelay(s.URL(), nil)
	require.NoError(b, err)
	defer relay.Close()
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	require.NoError(b, err)
	q, err := queue.New(store, relay, tracker, &queue.Options{Shaping: queue.Shaping{Lane: queue.Limit{Connections: 20}}})
	require.NoError(b, err)
	template, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "hola@example.com"}, Subject: "Hola {{nombre}}", Text: strings.Repeat("Una línea de la carta.\n", 10240/24)})
	require.NoError(b, err)
	recipients := make([]tracking.Recipient, mails)
	for i := range recipients {
		recipients[i] = to(fmt.Sprintf("a%d@sink%d.example", i, i%5))
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	started := time.Now()
	_, err = q.SendAll(b.Context(), &queue.Mailing{Template: template}, slices.Values(recipients))
	require.NoError(b, err)
	s.waitFor(b, int64(mails))
	for {
		stats, err := q.Stats(b.Context())
		require.NoError(b, err)
		if stats.ByState[queue.Delivered] == mails {
			break
		}
		time.Sleep(time.Millisecond)
	}
	elapsed := time.Since(started)
	stop()
	require.NoError(b, <-done)
	return float64(mails) / elapsed.Seconds()
}

// throughPostfix has Postfix's own load generator hand the mails to a Postfix of
// default make, but for a concurrency as high as ours and no delay of its own.
func throughPostfix(b *testing.B, postfix string, mails int) (perSecond float64) {
	s := newSink(b)
	_, port, err := net.SplitHostPort(s.Addr())
	require.NoError(b, err)
	listen := startPostfix(b, postfix, port)
	started := time.Now()
	out, err := exec.Command("smtp-source", "-s", "20", "-m", fmt.Sprint(mails), "-l", "10240", "-N", "-f", "hola@example.com", "-t", "a@sink.example", listen).CombinedOutput()
	require.NoError(b, err, string(out))
	s.waitFor(b, int64(mails))
	return float64(mails) / time.Since(started).Seconds()
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
relayhost = [127.0.0.1]:%[2]s
disable_dns_lookups = yes
default_process_limit = 100
default_destination_concurrency_limit = 64
initial_destination_concurrency = 20
in_flow_delay = 0
alias_maps =
smtpd_client_connection_count_limit = 0
`

const postfixMaster = `127.0.0.1:%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix runs a Postfix of its own that relays to a port of this machine, and
// returns where it listens.
func startPostfix(b *testing.B, postfix, sinkPort string) (listen string) {
	dir, err := os.MkdirTemp("", "franqueo-postfix-") // not b.TempDir: Postfix's user must reach it
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	require.NoError(b, os.Chmod(dir, 0o755))
	for _, name := range []string{"spool", "data", "etc"} {
		require.NoError(b, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	listen = free.Addr().String()
	require.NoError(b, free.Close())
	_, port, _ := net.SplitHostPort(listen)
	write := func(name, text string) {
		require.NoError(b, os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644))
	}
	write("main.cf", fmt.Sprintf(postfixMain, dir, sinkPort))
	write("master.cf", fmt.Sprintf(postfixMaster, port))
	out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(b, err, string(out))
	cmd := exec.Command(postfix, "-c", filepath.Join(dir, "etc"), "start-fg")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	require.Eventually(b, func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "Postfix does not listen")
	return listen
}
