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
