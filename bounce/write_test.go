package bounce_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleWriteDSN() {
	report := &bounce.Report{
		From: "MAILER-DAEMON@mx1.example.com", To: []string{"b+01k0x@bounces.example.com"},
		ID: "r1@mx1.example.com", Date: time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC), ReportingMTA: "mx1.example.com",
		Text: "No se pudo entregar el mensaje.\n",
		Recipients: []bounce.Recipient{{
			Final: "ana@example.net", Fate: bounce.FateFailed, Status: bounce.Status{5, 1, 1},
			Reply: bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "User unknown"},
		}},
		Original: bounce.Original{Header: "Message-ID: <01k0x@example.com>\n"},
	}
	var mail bytes.Buffer
	if err := bounce.WriteDSN(&mail, report); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(strings.ReplaceAll(mail.String(), "\r\n", "\n"))
	// Output:
	// From: <MAILER-DAEMON@mx1.example.com>
	// To: <b+01k0x@bounces.example.com>
	// Subject: Undelivered Mail Returned to Sender
	// Date: Wed, 01 Apr 2026 09:00:00 +0000
	// Message-ID: <r1@mx1.example.com>
	// Auto-Submitted: auto-replied
	// MIME-Version: 1.0
	// Content-Type: multipart/report; report-type=delivery-status;
	//  boundary="=_1nq3jy8c9uehm"
	//
	// --=_1nq3jy8c9uehm
	// Content-Type: text/plain; charset=utf-8
	//
	// No se pudo entregar el mensaje.
	//
	// --=_1nq3jy8c9uehm
	// Content-Type: message/delivery-status
	//
	// Reporting-MTA: dns; mx1.example.com
	//
	// Final-Recipient: rfc822; ana@example.net
	// Action: failed
	// Status: 5.1.1
	// Diagnostic-Code: smtp; 550 5.1.1 User unknown
	//
	// --=_1nq3jy8c9uehm
	// Content-Type: text/rfc822-headers
	//
	// Message-ID: <01k0x@example.com>
	//
	// --=_1nq3jy8c9uehm--
}

func ExampleWriteFeedback() {
	report := &bounce.Report{
		From: "fbl@example.net", To: []string{"abuse@example.com"},
		Feedback: &bounce.Feedback{Type: "abuse", UserAgent: "Buzon/1.0", RcptTo: []string{"ana@example.net"}},
		Original: bounce.Original{Header: "Message-ID: <01k0x@example.com>\nFrom: hola@example.com\n"},
	}
	var mail bytes.Buffer
	if err := bounce.WriteFeedback(&mail, report); err != nil {
		fmt.Println(err)
		return
	}
	got, err := bounce.Parse(&mail)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got.Kind, got.Feedback.Type, got.Recipients[0].Final, got.Recipients[0].Reason, got.Original.MessageID)
	// Output: complaint abuse ana@example.net complaint 01k0x@example.com
}

// written reads back what was written.
func written(t *testing.T, write func(w *bytes.Buffer) error) *bounce.Report {
	t.Helper()
	var mail bytes.Buffer
	require.NoError(t, write(&mail))
	require.NotContains(t, strings.ReplaceAll(mail.String(), "\r\n", ""), "\n", "a bare line feed")
	got, err := bounce.Parse(&mail)
	require.NoError(t, err)
	require.Empty(t, got.Problems)
	return got
}

func TestWriteDSNRoundTrip(t *testing.T) {
	day := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	failed := bounce.Recipient{
		Final: "ana@example.net", Original: "ventas+2@example.com", Fate: bounce.FateFailed, Status: bounce.Status{5, 2, 2},
		Reply:     bounce.Reply{Code: 552, Status: bounce.Status{5, 2, 2}, Text: "Buzon lleno\nPruebe otro dia", MX: "mx.example.net"},
		RemoteMTA: "mx.example.net", LastAttempt: day,
	}
	delayed := bounce.Recipient{Final: "luis@example.org", Fate: bounce.FateDelayed, Status: bounce.Status{4, 4, 1}, RetryUntil: day.AddDate(0, 0, 4)}
	relayed := bounce.Recipient{Final: "eva@example.org", Fate: bounce.FateRelayed, Status: bounce.Status{2, 1, 9}}
	global := bounce.Recipient{Final: "用户@例え.jp", Original: "ñandú@example.com", Fate: bounce.FateFailed, Status: bounce.Status{5, 1, 1}, Reply: bounce.Reply{Code: 550, Text: "Usuario desconocido: ñandú"}}
	for _, tt := range []struct {
		name       string
		recipients []bounce.Recipient
		kind       bounce.Kind
	}{
		{"failed", []bounce.Recipient{failed}, bounce.KindBounce},
		{"delayed", []bounce.Recipient{delayed}, bounce.KindDelay},
		{"relayed", []bounce.Recipient{relayed}, bounce.KindSuccess},
		{"several fates", []bounce.Recipient{relayed, delayed, failed}, bounce.KindBounce},
		{"beyond ASCII", []bounce.Recipient{global}, bounce.KindBounce},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := &bounce.Report{
				From: "MAILER-DAEMON@mx1.example.com", To: []string{"b+1@bounces.example.com"}, ID: "r1@mx1.example.com", Date: day, Arrival: day,
				Subject: "Envío devuelto", Text: "Este es el informe que pidió.\n", ReportingMTA: "mx1.example.com", EnvelopeID: "QQ314159", Recipients: tt.recipients,
				Fields:   []bounce.Field{{Name: "X-Queue-ID", Value: "4Vz"}},
				Original: bounce.Original{Header: "Message-ID: <1@example.com>\nTo: ana@example.net\nFeedback-ID: abril\n"},
			}
			got := written(t, func(w *bytes.Buffer) error { return bounce.WriteDSN(w, want) })
			require.Equal(t, tt.kind, got.Kind)
			require.Equal(t, []any{want.From, want.To, want.ID, want.Subject, want.ReportingMTA, want.EnvelopeID, want.Fields},
				[]any{got.From, got.To, got.ID, got.Subject, got.ReportingMTA, got.EnvelopeID, got.Fields})
			require.True(t, got.Date.Equal(day) && got.Arrival.Equal(day))
			require.Equal(t, []string{"1@example.com", "abril"}, []string{got.Original.MessageID, got.Original.FeedbackID})
			require.Len(t, got.Recipients, len(want.Recipients))
			for i, w := range want.Recipients {
				g := got.Recipients[i]
				require.NotEqual(t, bounce.Classification{}, g.Classification)
				w.Classification, w.Reply.Command = g.Classification, g.Reply.Command
				require.Equal(t, w, g)
			}
		})
	}
}

func TestWriteFeedbackRoundTrip(t *testing.T) {
	want := &bounce.Report{
		From: "fbl@example.net", To: []string{"abuse@example.com"}, ID: "f1@example.net", Date: time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC),
		ReportingMTA: "mx.example.net", EnvelopeID: "QQ", Arrival: time.Date(2026, 3, 31, 9, 0, 0, 0, time.UTC),
		Feedback: &bounce.Feedback{
			Type: "auth-failure", UserAgent: "Buzon/1.0", SourceIP: netip.MustParseAddr("2001:db8::7"), Incidents: 3, MailFrom: "b+1@bounces.example.com",
			RcptTo: []string{"ana@example.net", "luis@example.net"}, ReportedDomain: []string{"example.com"}, ReportedURI: []string{"https://example.com/x"},
			AuthenticationResults: []string{"mx.example.net; dkim=fail header.d=example.com"}, AuthFailure: "signature", DeliveryResult: "reject",
			DKIMDomain: "example.com", DKIMIdentity: "@example.com", DKIMSelector: "s1", SPFDNS: "txt : example.com : v=spf1 -all",
		},
		Original: bounce.Original{Header: "Message-ID: <1@example.com>\nFrom: hola@example.com\nSubject: Oferta\n"},
	}
	got := written(t, func(w *bytes.Buffer) error { return bounce.WriteFeedback(w, want) })
	require.Equal(t, bounce.KindComplaint, got.Kind)
	require.Equal(t, want.Feedback, got.Feedback)
	require.Equal(t, bounce.AuthReport, got.Recipients[0].Reason)
	require.Equal(t, "luis@example.net", got.Recipients[1].Final)
	require.Equal(t, []string{want.ReportingMTA, want.EnvelopeID}, []string{got.ReportingMTA, got.EnvelopeID})
	require.Equal(t, "1@example.com", got.Original.MessageID)
}

func TestWriteFaults(t *testing.T) {
	good := func() *bounce.Report {
		return &bounce.Report{
			From: "a@example.com", To: []string{"b@example.com"}, ReportingMTA: "mx.example.com",
			Recipients: []bounce.Recipient{{Final: "c@example.net", Fate: bounce.FateFailed, Status: bounce.Status{5, 0, 0}}},
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(r *bounce.Report)
		want  string
	}{
		{"no author", func(r *bounce.Report) { r.From = "" }, "From is empty"},
		{"nobody", func(r *bounce.Report) { r.Recipients = nil }, "no recipients"},
		{"no server", func(r *bounce.Report) { r.ReportingMTA = "" }, "ReportingMTA is empty"},
		{"no fate", func(r *bounce.Report) { r.Recipients[0].Fate = 0 }, "recipient c@example.net: Fate is unknown"},
		{"no status", func(r *bounce.Report) { r.Recipients[0].Status = bounce.Status{} }, `recipient c@example.net: Status is ""`},
		{"line break in an address", func(r *bounce.Report) { r.Recipients[0].Final = "c@example.net\r\nAction: delivered" }, "is no address"},
		{"line break in a field", func(r *bounce.Report) { r.EnvelopeID = "x\r\ny" }, "control characters"},
		{"empty line in a reply", func(r *bounce.Report) { r.Recipients[0].Reply = bounce.Reply{Code: 550, Text: "a\n\nb"} }, "a line that is empty"},
		{"field name", func(r *bounce.Report) { r.Fields = []bounce.Field{{Name: "X y", Value: "z"}} }, `field name "X y"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := good()
			tt.spoil(r)
			var out bytes.Buffer
			err := bounce.WriteDSN(&out, r)
			require.ErrorContains(t, err, "bounce: write report: ")
			require.ErrorContains(t, err, tt.want)
			require.Zero(t, out.Len())
		})
	}
	require.Error(t, bounce.WriteFeedback(&bytes.Buffer{}, good()))
}

// FuzzWriteDSN holds that Parse reads what WriteDSN wrote.
func FuzzWriteDSN(f *testing.F) {
	f.Add("ana@example.net", "", "Usuario desconocido", "mx.example.net", "1@example.com", uint16(550), uint8(1), uint16(1), uint16(1))
	f.Add("用户@例え.jp", "ana+2@example.com", "lleno\notra", "", "", uint16(452), uint8(2), uint16(2), uint16(2))
	f.Add("ana@\u2008", "", "", "", "B", uint16(346), uint8(1), uint16(2), uint16(29))
	f.Fuzz(func(t *testing.T, final, original, text, mta, id string, code uint16, fate uint8, subject, detail uint16) {
		class := []uint16{2, 4, 5}[int(fate)%3]
		want := &bounce.Report{
			From: "a@example.com", To: []string{"b@example.com"}, ID: id, ReportingMTA: "mx.example.com", Date: time.Unix(0, 0),
			Recipients: []bounce.Recipient{{
				Final: final, Original: original, Fate: bounce.Fate(fate), Status: bounce.Status{class, subject % 1000, detail % 1000},
				Reply: bounce.Reply{Code: int(400 + code%200), Text: text}, RemoteMTA: mta,
			}},
		}
		var mail bytes.Buffer
		if bounce.WriteDSN(&mail, want) != nil {
			return
		}
		got, err := bounce.Parse(bytes.NewReader(mail.Bytes()))
		require.NoError(t, err)
		if escaped(final) || escaped(original) {
			return // "+2B" is a plus sign to those who escape
		}
		require.Len(t, got.Recipients, 1)
		g, w := got.Recipients[0], want.Recipients[0]
		require.Equal(t, []any{w.Final, w.Fate}, []any{g.Final, g.Fate})
		if !strings.EqualFold(final, original) {
			require.Equal(t, w.Original, g.Original)
		}
		require.Equal(t, id, got.ID)
	})
}

func escaped(address string) bool {
	return strings.Contains(address, "+2B") || strings.Contains(address, "+3D") || strings.Contains(address, `\x{`)
}

// FuzzParse holds that Parse takes anything, the same way each time, and gives no
// more than its limits allow.
func FuzzParse(f *testing.F) {
	f.Add([]byte(postfixReport))
	f.Add([]byte(textReport(3)))
	f.Add([]byte(statusReport(3)))
	for _, name := range samples(f) {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		start := time.Now()
		first, err := bounce.Parse(bytes.NewReader(mail))
		require.NoError(t, err)
		require.Less(t, time.Since(start), 5*time.Second)
		again, err := bounce.Parse(bytes.NewReader(mail))
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.LessOrEqual(t, len(first.Problems), 20)
		require.LessOrEqual(t, len(first.Recipients), 10_000)
		require.LessOrEqual(t, len(first.Text), 4<<10)
		for _, r := range first.Recipients {
			require.NotEmpty(t, r.Final)
		}
	})
}
