package smtp_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// The tests in this file send to servers that others wrote: Postfix, Dovecot,
// aiosmtpd with faults, and nodemailer's smtp-server. FRANQUEO_POSTFIX and the like
// name their addresses.

// peerRelay makes a relay to a peer, whose certificate is for host. The URL has
// PEER in place of the address.
func peerRelay(t *testing.T, variable, host, url string, opts smtp.RelayOptions) *smtp.Relay {
	t.Helper()
	opts.TLSConfig = peerTLS(t)
	opts.TLSConfig.ServerName = host
	relay, err := smtp.NewRelay(strings.ReplaceAll(url, "PEER", peer(t, variable)), &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	return relay
}

// from is a message from a sender that the peers know.
func from(sender, text string, to ...string) *smtp.Message {
	m := letter(text, to...)
	m.From = sender
	return m
}

func TestPeerPostfix(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"MX":         "smtp://PEER:25?tls=required",
		"submission": "smtp://ana%40postfix.test:secret@PEER:587",
		"TLS":        "smtps://ana%40postfix.test:secret@PEER:465",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := peerRelay(t, "FRANQUEO_POSTFIX", "mx.postfix.test", url, smtp.RelayOptions{})
			info, err := relay.Check(t.Context())
			require.NoError(t, err)
			require.Contains(t, info.Extensions, "CHUNKING")
			for range 3 {
				result, err := relay.Send(t.Context(), from("ana@postfix.test", hello, "sink@postfix.test", "unknown-x@postfix.test",
					"tempfail@postfix.test", "sink@postfix.test", "full-rcpt@postfix.test"))
				require.Error(t, err)
				require.Equal(t, "accepted, rejected, deferred, accepted, rejected", statuses(result), "%v", err)
				require.NotEmpty(t, result.Recipients[0].QueueID)
				require.True(t, result.Recipients[0].Session.TLSVerified)
				require.Equal(t, smtp.EnhancedCode{5, 1, 1}, result.Recipients[1].Reply.Enhanced)
			}
			for _, text := range []string{long(100 << 10), long(3 << 20), hello + "ñ\r\n", "Subject: Año\r\n\r\nñ\r\n"} {
				_, err := relay.Send(t.Context(), from("ana@postfix.test", text, "sink@postfix.test"))
				require.NoError(t, err)
			}
			require.EqualValues(t, 1, relay.Stats().Dialed)
			result, err := relay.Send(t.Context(), from("ana@postfix.test", long(11<<20), "sink@postfix.test"))
			require.ErrorIs(t, err, smtp.ErrTooLarge)
			require.Equal(t, "rejected", statuses(result))
		})
	}
}

func TestPeerPostfixHangsUp(t *testing.T) {
	t.Parallel()
	relay := peerRelay(t, "FRANQUEO_POSTFIX", "mx.postfix.test", "smtp://PEER:25", smtp.RelayOptions{})
	result, err := relay.Send(t.Context(), from("ana@postfix.test", hello, "busy@postfix.test", "sink@postfix.test"))
	require.ErrorIs(t, err, smtp.ErrTemporary)
	require.Equal(t, 421, result.Recipients[0].Reply.Code)
	require.Equal(t, smtp.Deferred, result.Recipients[0].Status)
	_, err = relay.Send(t.Context(), from("ana@postfix.test", hello, "sink@postfix.test"))
	require.NoError(t, err)
}

// TestPeerFlights: many callers over few connections, with refusals among them.
// Each mailbox gets its message, once and whole, and those who were refused nothing.
func TestPeerFlights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ variable, host, url, domain string }{
		"Postfix": {"FRANQUEO_POSTFIX", "mx.postfix.test", "smtp://PEER:25", "postfix.test"},
		"Dovecot": {"FRANQUEO_DOVECOT", "mx.dovecot.test", "lmtp://PEER:24", "dovecot.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := peerRelay(t, c.variable, c.host, c.url+"?tls=none", smtp.RelayOptions{Pool: smtp.PoolOptions{MaxConns: 2}})
			boxes := filepath.Join(peer(t, "FRANQUEO_MAILDIRS"), c.domain)
			run := fmt.Sprintf("u%d", time.Now().UnixNano())
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					id := fmt.Sprintf("%s-%d", run, i)
					text := hello + "marca " + id + "\r\n" + strings.Repeat(".relleno\r\n", 50*i)
					to := []string{id + "@" + c.domain}
					want := "accepted"
					if name == "Postfix" && i%4 == 1 {
						to, want = []string{"unknown-" + id + "@" + c.domain}, "rejected"
					}
					result, err := relay.Send(t.Context(), from("app@app.test", text, to...))
					require.Equal(t, want, statuses(result), "%v", err)
				})
			}
			wg.Wait()
			for i := range 40 {
				id := fmt.Sprintf("%s-%d", run, i)
				if name == "Postfix" && i%4 == 1 {
					continue
				}
				text := delivered(t, filepath.Join(boxes, id, "new"))
				require.Equal(t, 1, strings.Count(text, "marca "), id)
				require.Contains(t, text, "marca "+id+"\n")
				require.Equal(t, 50*i, strings.Count(text, "\n.relleno"), id)
			}
		})
	}
}

// delivered waits for the one message in a folder of a Maildir.
func delivered(t *testing.T, folder string) string {
	t.Helper()
	var files []os.DirEntry
	require.Eventually(t, func() bool {
		files, _ = os.ReadDir(folder)
		return len(files) > 0
	}, 30*time.Second, 20*time.Millisecond, folder)
	require.Len(t, files, 1)
	text, err := os.ReadFile(filepath.Join(folder, files[0].Name()))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestPeerDovecot(t *testing.T) {
	t.Parallel()
	t.Run("LMTP", func(t *testing.T) {
		t.Parallel()
		relay := peerRelay(t, "FRANQUEO_DOVECOT", "mx.dovecot.test", "lmtp://PEER:24", smtp.RelayOptions{})
		result, err := relay.Send(t.Context(), from("app@app.test", long(3000), "ana@dovecot.test", "full@dovecot.test", "luis@dovecot.test"))
		require.ErrorContains(t, err, "552 5.2.2")
		require.Equal(t, "accepted, rejected, accepted", statuses(result))
	})
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		t.Run("submission "+mechanism, func(t *testing.T) {
			t.Parallel()
			relay := peerRelay(t, "FRANQUEO_DOVECOT", "mx.dovecot.test", "smtp://PEER:587",
				smtp.RelayOptions{Auth: smtp.Password("ana@dovecot.test", "secret", mechanism)})
			_, err := relay.Check(t.Context())
			require.NoError(t, err)
			wrong := peerRelay(t, "FRANQUEO_DOVECOT", "mx.dovecot.test", "smtp://PEER:587",
				smtp.RelayOptions{Auth: smtp.Password("full@dovecot.test", "equivocado", mechanism)})
			_, err = wrong.Check(t.Context())
			require.ErrorIs(t, err, smtp.ErrAuth)
		})
	}
}

func TestPeerNodemailer(t *testing.T) {
	t.Parallel()
	token := func(value string) smtp.Auth {
		return smtp.Token("ana", func(context.Context) (string, error) { return value, nil })
	}
	for name, c := range map[string]struct {
		auth smtp.Auth
		good bool
	}{
		"PLAIN": {smtp.Password("ana", "secret", "PLAIN"), true}, "LOGIN": {smtp.Password("ana", "secret", "LOGIN"), true},
		"CRAM-MD5": {smtp.Password("ana", "secret", "CRAM-MD5"), true}, "XOAUTH2": {token("tok"), true},
		"wrong PLAIN": {smtp.Password("ana", "no", "PLAIN"), false}, "wrong LOGIN": {smtp.Password("ana", "no", "LOGIN"), false},
		"wrong CRAM-MD5": {smtp.Password("ana", "no", "CRAM-MD5"), false}, "wrong XOAUTH2": {token("no"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := peerRelay(t, "FRANQUEO_NODESMTP", "mx.nodesmtp.test", "smtp://PEER:25?tls=required", smtp.RelayOptions{Auth: c.auth})
			_, err := relay.Send(t.Context(), from("ana@app.test", hello, "luis@nodesmtp.test"))
			if !c.good {
				var failure *smtp.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, smtp.PhaseAuth, failure.Phase)
				require.Equal(t, 535, failure.Reply.Code)
				return
			}
			require.NoError(t, err)
		})
	}
}

// TestPeerFaults: what a server that misbehaves leaves.
func TestPeerFaults(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"eat1": "accepted", "slow-1": "accepted",
		"code-452": "deferred", "enh-550-5.7.26": "rejected", "data-554": "rejected", "data-451": "deferred",
		"drop-after-data": "indeterminate", "drop-rcpt": "deferred", "garbage": "deferred",
	} {
		for _, query := range []string{"none", "required"} {
			t.Run(to+" "+query, func(t *testing.T) {
				t.Parallel()
				relay := peerRelay(t, "FRANQUEO_AIOSMTPD", "mx.aio.test", "smtp://PEER:25?tls="+query, smtp.RelayOptions{})
				result, err := relay.Send(t.Context(), from("ana@app.test", hello, to+"@aio.test"))
				require.Equal(t, want, statuses(result), "%v", err)
			})
		}
	}
	t.Run("hang", func(t *testing.T) {
		t.Parallel()
		relay := peerRelay(t, "FRANQUEO_AIOSMTPD", "mx.aio.test", "smtp://PEER:25?tls=none",
			smtp.RelayOptions{Timeouts: smtp.Timeouts{Command: time.Second}})
		result, err := relay.Send(t.Context(), from("ana@app.test", hello, "hang@aio.test"))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Equal(t, "deferred", statuses(result))
	})
}
