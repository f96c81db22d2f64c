package bounce_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func TestParseReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		line string
		want bounce.Reply
	}{
		{"plain", "550 no such user", bounce.Reply{Code: 550, Text: "no such user"}},
		{"status", "550 5.1.1 no such user", bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "no such user"}},
		{"several lines", "550-5.1.1 no such\r\n550 5.1.1 user\r\n", bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "no such\nuser"}},
		{"status on the last line", "550-no such\n550 5.1.1 user", bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "no such\nuser"}},
		{"diagnostic code", "smtp; 452 4.2.2 full", bounce.Reply{Code: 452, Status: bounce.Status{4, 2, 2}, Text: "full"}},
		{"qmail", "Sorry, no mailbox here by that name. (#5.1.1)", bounce.Reply{Status: bounce.Status{5, 1, 1}, Text: "Sorry, no mailbox here by that name. (#5.1.1)"}},
		{"exchange", "#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##", bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "RESOLVER.ADR.RecipNotFound; not found ##"}},
		{
			"postfix", "host mx.example.com[192.0.2.1] said: 550 5.1.1 <a@example.com>: unknown (in reply to RCPT TO command)",
			bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "<a@example.com>: unknown", Command: bounce.Rcpt},
		},
		{
			"exim", "SMTP error from remote mail server after RCPT TO:<a@example.com>: host mx.example.com [192.0.2.1]: 550 unknown",
			bounce.Reply{Code: 550, Text: "unknown"},
		},
		{"status alone", "5.2.2 full", bounce.Reply{Status: bounce.Status{5, 2, 2}, Text: "full"}},
		{"addresses and versions", "connect to 5.2.1.4 failed, proto 4.0.1b", bounce.Reply{Text: "connect to 5.2.1.4 failed, proto 4.0.1b"}},
		{"nothing", "", bounce.Reply{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, bounce.ParseReply(c.line))
		})
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bounce.Status{
		"5.1.1":                      {5, 1, 1},
		" 5.0.0 (permanent failure)": {5, 0, 0},
		"5.7.606":                    {5, 7, 606},
	} {
		got, ok := bounce.ParseStatus(s)
		require.True(t, ok, s)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"", "5.1", "3.1.1", "5.1.1.1", "5.1234.1", "x.1.1", "5..1"} {
		_, ok := bounce.ParseStatus(s)
		require.False(t, ok, s)
	}
	require.Equal(t, "5.1.1", bounce.Status{5, 1, 1}.String())
	require.Empty(t, bounce.Status{}.String())
}
