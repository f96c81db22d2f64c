package smtptest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// letter is a message as an application sends it, in quoted-printable and
// base64.
const letter = "From: =?utf-8?q?Tienda_=C3=91and=C3=BA?= <hola@example.com>\r\n" +
	"Subject: =?utf-8?b?wqFCaWVudmVuaWRhIQ==?=\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"Hola, Mar=C3=ADa\r\n" +
	"--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"PHA+QWRpw7NzPC9wPg==\r\n" +
	"--x\r\nContent-Type: application/octet-stream\r\n\r\nbytes\r\n--x--\r\n"

func to(addrs ...string) *smtp.Message {
	m := &smtp.Message{From: "hola@example.com", Content: smtp.Bytes([]byte(letter)), Stream: "altas"}
	for _, addr := range addrs {
		m.To = append(m.To, smtp.Recipient{Addr: addr})
	}
	return m
}

func TestRecorderKeepsMessages(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder()
	result, err := recorder.Send(t.Context(), to("maria@example.net", "luis@example.net"))
	require.NoError(t, err)
	require.Equal(t, smtp.Accepted, result.Recipients[1].Status)
	require.Equal(t, 250, result.Recipients[1].Reply.Code)
	_, err = recorder.Send(t.Context(), to("pepe@example.org"))
	require.NoError(t, err)

	m := recorder.One(t, smtptest.To("MARIA@*"), smtptest.From("*@example.com"),
		smtptest.Header("subject", "¡bienvenida!"), smtptest.Text("*María*<p>Adiós</p>*"))
	require.Equal(t, "Tienda Ñandú <hola@example.com>", m.Header("From"))
	require.Equal(t, "Hola, María<p>Adiós</p>", m.Text())
	require.Equal(t, letter, string(m.Data))
	require.Equal(t, "altas", m.Stream)
	recorder.None(t, smtptest.To("*@example.com"))
	require.Equal(t, 2, recorder.Len())
}

// fakeT notes what a test would be told.
type fakeT struct {
	smtptest.TB
	failed   bool
	log      string
	cleanups []func()
}

func (f *fakeT) Helper()                    {}
func (f *fakeT) Failed() bool               { return f.failed }
func (f *fakeT) Cleanup(c func())           { f.cleanups = append(f.cleanups, c) }
func (f *fakeT) Logf(s string, args ...any) { f.log += fmt.Sprintf(s, args...) }
func (f *fakeT) Fatalf(s string, args ...any) {
	f.failed = true
	f.Logf(s, args...)
}

func TestRecorderFailsTests(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder()
	for range 2 {
		_, err := recorder.Send(t.Context(), to("maria@example.net"))
		require.NoError(t, err)
	}
	for name, check := range map[string]func(*fakeT){
		"two":  func(f *fakeT) { recorder.One(f) },
		"zero": func(f *fakeT) { recorder.One(f, smtptest.To("x")) },
		"some": func(f *fakeT) { recorder.None(f, smtptest.To("maria*")) },
	} {
		var f fakeT
		check(&f)
		require.True(t, f.failed, name)
		require.Contains(t, f.log, "hola@example.com -> maria@example.net: ¡Bienvenida!\n", name)
	}
}

func TestTranscriptOnFailure(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(nil)
	defer server.Close()
	for _, failed := range []bool{false, true} {
		f := fakeT{failed: failed}
		server.LogOnFailure(&f)
		f.cleanups[0]()
		require.Equal(t, failed, strings.Contains(f.log, "transcript of 127.0.0.1"))
	}
}

func TestRecorderFollowsItsScript(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder(
		smtptest.Rule{To: "desconocido@*", Reply: "550 5.1.1 No existe"},
		smtptest.Rule{To: "lista-gris@*", Times: 1, Reply: "451 4.7.1 Luego"},
		smtptest.Rule{To: "lleno@*", On: smtptest.End, Reply: "552 5.2.2 Lleno"},
		smtptest.Rule{To: "perdido@*", On: smtptest.End, Do: smtptest.Drop},
		smtptest.Rule{To: "roto@*", On: smtptest.End, Do: smtptest.Drop, Reply: "451 4.3.0 No"},
		smtptest.Rule{From: "*@malo.example", On: smtptest.Mail, Reply: "550 5.7.1 No"},
		smtptest.Rule{From: "*@lento.example", On: smtptest.Data, Reply: "421 4.3.2 Luego"},
	)
	m := to("a@x.es", "desconocido@x.es", "lista-gris@x.es", "lleno@x.es", "perdido@x.es", "roto@x.es")
	statuses := func() (s []smtp.Status) {
		result, err := recorder.Send(t.Context(), m)
		require.Equal(t, result.Err(), err)
		for _, o := range result.Recipients {
			require.Equal(t, o.Status == smtp.Accepted, o.Err == nil)
			s = append(s, o.Status)
		}
		return s
	}
	require.Equal(t, []smtp.Status{smtp.Accepted, smtp.Rejected, smtp.Deferred, smtp.Rejected, smtp.Indeterminate, smtp.Indeterminate}, statuses())
	require.Equal(t, smtp.Accepted, statuses()[2])
	require.Len(t, recorder.Messages()[0].To, 2, "accepted, and lost after it was stored")

	result, err := recorder.Send(t.Context(), to("desconocido@x.es"))
	require.EqualError(t, err, "smtp: rcpt recorder: 550 5.1.1 No existe")
	require.ErrorIs(t, err, smtp.ErrPermanent)
	require.Equal(t, smtp.EnhancedCode{5, 1, 1}, result.Recipients[0].Reply.Enhanced)

	m.From = "x@malo.example"
	require.Equal(t, smtp.Rejected, statuses()[0])
	m.From = "x@lento.example"
	require.Equal(t, smtp.Deferred, statuses()[0])
	m.Content = nil
	require.Equal(t, smtp.NotTried, statuses()[0])
}

func TestRecorderTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder := smtptest.NewRecorder(
			smtptest.Rule{To: "lento@*", Delay: time.Hour},
			smtptest.Rule{To: "mudo@*", On: smtptest.End, Do: smtptest.Hang},
		)
		start := time.Now()
		_, err := recorder.Send(t.Context(), to("lento@x.es"))
		require.NoError(t, err)
		require.Equal(t, time.Hour, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result, err := recorder.Send(ctx, to("mudo@x.es"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, smtp.ErrIndeterminate)
		require.Equal(t, smtp.Indeterminate, result.Recipients[0].Status)
	})
}

func ExampleRecorder() {
	t := new(testing.T) // in a test, its own

	recorder := smtptest.NewRecorder()
	welcome(recorder, "maria@example.net") // the code under test

	m := recorder.One(t, smtptest.To("maria@*"))
	fmt.Println(m.Header("Subject"))
	recorder.None(t, smtptest.To("*@example.com"))
	// Output: ¡Bienvenida!
}

func welcome(transport smtp.Transport, addr string) {
	_, _ = transport.Send(context.Background(), to(addr))
}
