package bounce_test

import (
	"crypto/rand"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// peer is the value of a variable that tells where a real server is; the test is
// skipped without it.
func peer(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		skip(t, variable)
	}
	return value
}

// TestRealReports has a real Postfix and the Dovecot behind it accept mail and
// report what became of it. FRANQUEO_POSTFIX is the address; FRANQUEO_BOUNCES is the
// Maildir into which mail for bounces.app.test goes.
func TestRealReports(t *testing.T) {
	host, box := peer(t, "FRANQUEO_POSTFIX"), peer(t, "FRANQUEO_BOUNCES")
	for _, tt := range []struct {
		recipient string
		kind      bounce.Kind
		status    string
		reason    bounce.Reason
	}{
		{"ana@async-unknown.test", bounce.KindBounce, "5.1.1", bounce.BadMailbox},
		{"ana@async-full.test", bounce.KindBounce, "5.2.2", bounce.MailboxFull},
		{"ana@async-spam.test", bounce.KindBounce, "5.7.1", bounce.Policy},
		{"full@postfix.test", bounce.KindBounce, "5.2.2", bounce.MailboxFull},
		{"ana@delayed.test", bounce.KindDelay, "4.4.1", bounce.Network},
		{"vacation@postfix.test", bounce.KindAutoReply, "", bounce.AutoReply},
		{"sievereject@postfix.test", bounce.KindDisposition, "", bounce.RecipientRefused},
	} {
		t.Run(tt.recipient, func(t *testing.T) {
			t.Parallel()
			token := strings.ToLower(rand.Text())
			from, id := "b+"+token+"@bounces.app.test", token+"@app.test"
			submit(t, host, from, tt.recipient, "From: <hola@app.test>\r\nTo: <"+tt.recipient+">\r\nSubject: Hola\r\nMessage-ID: <"+id+">\r\n\r\n"+strings.Repeat("Hola. ", 500)+"\r\n")
			data := await(t, box, token)
			report := parse(t, data)
			require.Equal(t, tt.kind, report.Kind, "%s", data)
			require.Contains(t, report.To, from)
			require.Len(t, report.Recipients, 1)
			got := report.Recipients[0]
			require.Equal(t, []any{tt.recipient, tt.status, tt.reason}, []any{got.Address(), got.Status.String(), got.Reason}, "%+v", got)
			require.Equal(t, id, report.Original.MessageID)
			r := serve(t, nil)
			require.NoError(t, smtp.SendMail(r.address, nil, "", []string{from}, []byte(data)))
			require.Equal(t, report.Recipients, r.received()[0].Recipients)
		})
	}
}

// submit hands a mail to a server.
func submit(t *testing.T, host, from, to, mail string) {
	t.Helper()
	c, err := smtp.Dial(host + ":25")
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Mail(from))
	require.NoError(t, c.Rcpt(to))
	w, err := c.Data()
	require.NoError(t, err)
	_, err = fmt.Fprint(w, mail)
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

// await waits for the mail in a Maildir that holds a token.
func await(t *testing.T, box, token string) string {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		names, err := filepath.Glob(filepath.Join(box, "*", "*"))
		require.NoError(t, err)
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), token) {
				return string(data)
			}
		}
		select {
		case <-tick.C:
		case <-late:
			require.FailNow(t, "no report came")
		}
	}
}
