package bounce_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func BenchmarkParse(b *testing.B) {
	bounce.Classify(bounce.Reply{}) // compiles the rules
	for name, mail := range map[string]string{
		"delivery report": postfixReport,
		"text":            textReport(1),
		"4000 recipients": statusReport(4000),
		"4000 in text":    textReport(4000),
		"40000 lines":     strings.Replace(postfixReport, "Hola, Ana.\n", strings.Repeat("Hola, Ana. Tu pedido.\n", 40_000), 1),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(mail)))
			r := strings.NewReader(mail)
			for b.Loop() {
				r.Reset(mail)
				_, err := bounce.Parse(r)
				require.NoError(b, err)
			}
		})
	}
}

// statusReport is a delivery report about n recipients.
func statusReport(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Final-Recipient: rfc822; r%d@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n\n", i)
	}
	head, rest, _ := strings.Cut(postfixReport, "Final-Recipient")
	_, tail, _ := strings.Cut(rest, "User unknown\n")
	return head + b.String() + tail
}

// textReport is a report without fields about n recipients.
func textReport(n int) string {
	var b strings.Builder
	b.WriteString("Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nTo: hola@example.com\nSubject: failure notice\n\n" +
		"Hi. This is the qmail-send program at example.com.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\n")
	for i := range n {
		fmt.Fprintf(&b, "<r%d@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.1.\n\n", i)
	}
	b.WriteString("--- Below this line is a copy of the message.\n\nReturn-Path: <hola@example.com>\nReceived: by example.com\nMessage-ID: <1@example.com>\n\nHola.\n")
	return b.String()
}
