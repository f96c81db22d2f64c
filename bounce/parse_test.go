package bounce_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

const postfixReport = `Return-Path: <>
From: MAILER-DAEMON@mx1.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: b+01k0x@bounces.example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4Vz.1718156130/mx1.example.com"

This is a MIME-encapsulated message.

--4Vz.1718156130/mx1.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx1.example.com.

<ana@example.net>: host mx.example.net[192.0.2.7] said: 550 5.1.1
    <ana@example.net>: Recipient address rejected: User unknown (in reply to
    RCPT TO command)

--4Vz.1718156130/mx1.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx1.example.com
X-Postfix-Queue-ID: 4VzSm22Fq6
Arrival-Date: Wed, 12 Jun 2024 10:35:30 +0200 (CEST)

Final-Recipient: rfc822; ana@example.net
Original-Recipient: rfc822;ana@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 <ana@example.net>: Recipient address rejected:
    User unknown

--4Vz.1718156130/mx1.example.com
Content-Description: Undelivered Message
Content-Type: message/rfc822

Message-ID: <01k0x@example.com>
From: Tienda <hola@example.com>
To: ana@example.net
Subject: =?utf-8?q?Tu_pedido_ya_sali=C3=B3?=
Feedback-ID: abril:tienda

Hola, Ana.

--4Vz.1718156130/mx1.example.com--
`

func ExampleParse() {
	report, err := bounce.Parse(strings.NewReader(postfixReport))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range report.Recipients {
		fmt.Println(r.Final, r.Fate, r.Status, r.Reply.Code, r.Reason, r.Verdict)
	}
	fmt.Println(report.Kind, report.To[0], report.Original.MessageID, report.Original.Subject)
	// Output:
	// ana@example.net failed 5.1.1 550 bad-mailbox hard
	// bounce b+01k0x@bounces.example.com 01k0x@example.com Tu pedido ya salió
}

func TestParseError(t *testing.T) {
	lost := errors.New("lost")
	_, err := bounce.Parse(io.MultiReader(strings.NewReader(postfixReport), iotest.ErrReader(lost)))
	require.ErrorIs(t, err, lost)
}

// TestParseNewlines has the same report, whatever its lines end in.
func TestParseNewlines(t *testing.T) {
	want, err := bounce.Parse(strings.NewReader(postfixReport))
	require.NoError(t, err)
	for name, newline := range map[string]string{"CRLF": "\r\n", "CR": "\r", "CR CR LF": "\r\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := bounce.Parse(strings.NewReader(strings.ReplaceAll(postfixReport, "\n", newline)))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// samples are the files of our own returned mail.
func samples(tb testing.TB) []string {
	tb.Helper()
	names, err := filepath.Glob("testdata/mail/*.eml")
	require.NoError(tb, err)
	return names
}

var update = flag.Bool("update", false, "write the golden files")

// TestParseSamples holds our samples to their golden reports, whatever the lines
// end in, and 40 times over.
func TestParseSamples(t *testing.T) {
	for _, name := range samples(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".eml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			got, err := bounce.Parse(bytes.NewReader(data))
			require.NoError(t, err)
			text, err := json.MarshalIndent(got, "", "\t")
			require.NoError(t, err)
			golden := strings.TrimSuffix(name, ".eml") + ".json"
			if *update {
				require.NoError(t, os.WriteFile(golden, append(text, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text)+"\n")
			for i := range 40 {
				again, err := bounce.Parse(bytes.NewReader(bytes.ReplaceAll(data, []byte("\n"), []byte([]string{"\n", "\r\n", "\r"}[i%3]))))
				require.NoError(t, err)
				require.Equal(t, got, again)
			}
		})
	}
}
