package bounce_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleClassify() {
	reply := bounce.ParseReply("550 5.1.1 <ana@example.com>: Recipient address rejected: User unknown")
	c := bounce.Classify(reply)
	fmt.Println(c.Verdict, c.Reason, c.Action)
	// Output: hard bad-mailbox suppress
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reply   string
		reason  bounce.Reason
		verdict bounce.Verdict
		action  bounce.Action
	}{
		{"550 5.1.1 User unknown", bounce.BadMailbox, bounce.Hard, bounce.Suppress},
		{"450 4.1.1 User unknown", bounce.BadMailbox, bounce.Soft, bounce.Retry},
		{"552 5.2.2 Mailbox full", bounce.MailboxFull, bounce.Soft, bounce.Retry},
		{"550 mailbox unavailable: your IP 192.0.2.1 is blacklisted", bounce.IPBlocked, bounce.Soft, bounce.FixReputation},
		{"553 5.1.8 sender address rejected: user unknown", bounce.SenderRejected, bounce.Soft, bounce.FixConfig},
		{"250 2.1.5 Ok", bounce.Delivered, bounce.Unknown, bounce.NoAction},
		{"599 sin palabras", bounce.Undetermined, bounce.Unknown, bounce.SuppressAfter},
	} {
		t.Run(c.reply, func(t *testing.T) {
			t.Parallel()
			got := bounce.Classify(bounce.ParseReply(c.reply))
			require.Equal(t, c.reason, got.Reason, bounce.Explain(bounce.ParseReply(c.reply)))
			require.Equal(t, c.verdict, got.Verdict)
			require.Equal(t, c.action, got.Action)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]time.Duration{
		"450 4.2.0 Greylisted, try again in 300 seconds": 5 * time.Minute,
		"451 4.7.1 Please try again in 5 minutes":        5 * time.Minute,
		"450 4.7.1 Please retry in 90s":                  90 * time.Second,
		"451 4.7.1 Try again 2 hours later":              2 * time.Hour,
		"450 Vuelva a intentarlo en 5 minutos":           5 * time.Minute,
		"450 greylisted for 00:04:30":                    4*time.Minute + 30*time.Second,
		"450 4.7.1 too many connections from 192.0.2.1":  0,
		"550 5.1.1 User unknown, gone for 300 seconds":   0,
		"421 try again after 9999 hours":                 24 * time.Hour,
	} {
		require.Equal(t, want, bounce.Classify(bounce.ParseReply(reply)).RetryAfter, reply)
	}
}

func BenchmarkClassify(b *testing.B) {
	for _, c := range []struct{ name, reply string }{
		{"short", "550 5.1.1 <ana@example.com>: Recipient address rejected: User unknown in local recipient table"},
		{"gmail", "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550-5.1.1 unnecessary spaces. Learn more at\n550 5.1.1 https://support.google.com/mail/?p=NoSuchUser a1-20020a170906.1 - gsmtp"},
		{"temporary", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := bounce.ParseReply(c.reply)
			bounce.Classify(r)
			b.ReportAllocs()
			for b.Loop() {
				bounce.Classify(r)
			}
		})
	}
}

// FuzzClassify: the answer is the same each time, comes in bounded time, names a
// rule unless nothing is known, and is hard for a recipient alone.
func FuzzClassify(f *testing.F) {
	f.Add("550 5.1.1 <ana@example.com>: Recipient address rejected: User unknown", "mx.example.com", uint8(bounce.Rcpt))
	f.Add("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "mta5.am0.yahoodns.net", uint8(bounce.Mail))
	f.Add("450 4.2.0 Greylisted, try again in 00:05:00", "", uint8(0))
	f.Add("550-Buzón lleno\r\n550 邮箱已满 ящик переполнен", ".", uint8(bounce.EndOfData))
	f.Fuzz(func(t *testing.T, line, mx string, command uint8) {
		r := bounce.ParseReply(line)
		r.MX, r.Command = mx, bounce.Command(command%9)
		got := bounce.Classify(r)
		require.Equal(t, got, bounce.Classify(r))
		require.Equal(t, got.Rule == "", got.Confidence == bounce.ByNothing)
		if got.Verdict == bounce.Hard {
			require.False(t, got.Temporary)
			require.False(t, r.Code != 0 && bounce.Connect <= r.Command && r.Command <= bounce.Mail, "%+v", r)
		}
		require.LessOrEqual(t, got.RetryAfter, 24*time.Hour)
		matches := bounce.Explain(r)
		require.Equal(t, got.Rule == "", len(matches) == 0)
		if len(matches) > 0 {
			require.Equal(t, got.Rule, matches[0].Rule.Name)
			require.NotEmpty(t, matches[0].String())
		}
	})
}

// FuzzParseReply: what is read stands in the line, and a code and a status are of
// their forms.
func FuzzParseReply(f *testing.F) {
	f.Add("550-5.1.1 a\r\n550 5.1.1 b")
	f.Add("smtp; 550 5.1.1 a (in reply to RCPT TO command)")
	f.Add("host mx.example.com[192.0.2.1] said: 550 #5.1.1 a")
	f.Fuzz(func(t *testing.T, line string) {
		r := bounce.ParseReply(line)
		require.True(t, r.Code == 0 || 200 <= r.Code && r.Code < 600)
		require.LessOrEqual(t, len(r.Text), len(line))
		if s := r.Status.String(); s != "" {
			again, ok := bounce.ParseStatus(s)
			require.True(t, ok)
			require.Equal(t, r.Status, again)
		}
	})
}
