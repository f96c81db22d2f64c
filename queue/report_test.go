package queue_test

import (
	"bytes"
	"fmt"
	"net/mail"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// returnedMail has another server's notification about the latest mail written and
// parsed. What names our mail in it is left to name.
func returnedMail(t *testing.T, o *office, r bounce.Recipient, name func(sent *mail.Message, from string, dsn *bounce.Report)) *bounce.Report {
	received := o.server.Messages()
	latest := received[len(received)-1]
	sent, err := mail.ReadMessage(bytes.NewReader(latest.Data))
	require.NoError(t, err)
	r.Fate = bounce.FateFailed
	dsn := &bounce.Report{
		ID: fmt.Sprintf("aviso.%d@mx.correo.example", len(received)), From: "MAILER-DAEMON@mx.correo.example", To: []string{"rebotes@example.com"},
		ReportingMTA: "mx.correo.example", Date: time.Now(), Recipients: []bounce.Recipient{r},
	}
	name(sent, latest.From, dsn)
	var raw bytes.Buffer
	require.NoError(t, bounce.WriteDSN(&raw, dsn))
	parsed, err := bounce.Parse(&raw)
	require.NoError(t, err)
	require.Equal(t, bounce.KindBounce, parsed.Kind)
	return parsed
}

func byReturnPath(_ *mail.Message, from string, dsn *bounce.Report) { dsn.To = []string{from} }

func byMessageID(sent *mail.Message, _ string, dsn *bounce.Report) {
	dsn.Original.Header = "Message-ID: " + sent.Header.Get("Message-Id") + "\r\nSubject: Hola\r\n"
}

func TestReportParsed(t *testing.T) {
	gone := bounce.Recipient{Final: "ana@correo.example", Status: bounce.Status{5, 1, 1}, Reply: bounce.Reply{Code: 550, Status: bounce.Status{5, 1, 1}, Text: "El usuario no existe"}, RemoteMTA: "mx2.correo.example"}
	for name, by := range map[string]func(*mail.Message, string, *bounce.Report){"ReturnPath": byReturnPath, "MessageID": byMessageID} {
		t.Run(name, func(t *testing.T) {
			open(t, nil, nil, func(t *testing.T, o *office) {
				id := o.send(to("ana@correo.example"))[0]
				o.run(time.Minute)
				report := returnedMail(t, o, gone, by)
				require.NoError(t, o.Report(t.Context(), report))
				require.NoError(t, o.Report(t.Context(), report), "twice is once")
				require.Equal(t, []tracking.Type{tracking.Queued, tracking.Delivered, tracking.Bounced}, o.story(id))
				e := o.last(id)
				require.Equal(t, bounce.BadMailbox, e.Reason)
				require.Equal(t, bounce.Hard, e.Verdict)
				require.Equal(t, 550, e.Code)
				require.Equal(t, "mx2.correo.example", e.Host)
				require.Equal(t, "ana@correo.example", e.Recipient)
				require.Equal(t, id, o.suppression("ana@correo.example").Message)
			})
		})
	}
	t.Run("Neither", func(t *testing.T) {
		open(t, nil, nil, func(t *testing.T, o *office) {
			o.send(to("ana@correo.example"))
			o.run(time.Minute)
			report := returnedMail(t, o, gone, func(*mail.Message, string, *bounce.Report) {})
			require.ErrorIs(t, o.Report(t.Context(), report), queue.ErrUnproven)
			require.Nil(t, o.suppression("ana@correo.example"))
		})
	})
}

// TestReportOfSoftBounces: a mailbox that stays full is given up on, also where a
// relay takes each mail first and sends it back; a mail that stayed begins anew.
func TestReportOfSoftBounces(t *testing.T) {
	full := bounce.Recipient{Final: "lleno@correo.example", Status: bounce.Status{5, 2, 2}, Reply: bounce.Reply{Code: 552, Status: bounce.Status{5, 2, 2}, Text: "Mailbox full"}}
	open(t, &queue.Options{SuppressAfter: 3}, nil, func(t *testing.T, o *office) {
		comesBack := func() {
			o.send(to("lleno@correo.example"))
			o.run(time.Minute)
			require.Nil(t, o.suppression("lleno@correo.example"))
			report := returnedMail(t, o, full, byReturnPath)
			require.NoError(t, o.Report(t.Context(), report))
			require.NoError(t, o.Report(t.Context(), report), "twice is once")
			time.Sleep(time.Second) // the journal orders by time
		}
		comesBack()
		comesBack()
		o.send(to("lleno@correo.example")) // and stays
		o.run(time.Minute)
		comesBack()
		comesBack()
		require.Nil(t, o.suppression("lleno@correo.example"))
		comesBack()
		entry := o.suppression("lleno@correo.example")
		require.NotNil(t, entry)
		require.Equal(t, bounce.MailboxFull, entry.Reason)
		require.False(t, entry.Until.IsZero())
	})
}
