package smtp_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

func guard(t *testing.T, next smtp.Transport, redirect string, allow ...string) smtp.Transport {
	t.Helper()
	g, err := smtp.Guard(next, &smtp.GuardOptions{Allow: allow, Redirect: redirect})
	require.NoError(t, err)
	return g
}

func TestGuardAllows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, addr string
		want                bool
	}{
		{"address", "ana@example.com", "Ana@Example.COM", true},
		{"domain", "*@EXAMPLE.com", "luis@example.com", true},
		{"other domain", "*@example.com", "luis@example.com.malo.test", false},
		{"allowed address in quotes", "*@example.com", `"luis@example.com"@malo.test`, false},
		{"domain in Unicode", "*@ñandú.example", "luis@Ñandú.example", true},
		{"domain in A-labels", "*@xn--and-6ma2c.example", "luis@ñandú.example", true},
		{"everyone", "*", "luis@malo.test", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			recorder := smtptest.NewRecorder()
			result, err := guard(t, recorder, "", test.pattern).Send(t.Context(), message(test.addr))
			require.NoError(t, err)
			require.Equal(t, smtp.Accepted, result.Recipients[0].Status)
			require.Equal(t, test.want, recorder.Len() == 1)
		})
	}
}

func TestGuardRedirects(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder(smtptest.Rule{To: "buzon@*", Reply: "550 5.1.1 No", Times: 1})
	transport := guard(t, recorder, "buzon@example.com", "*@example.com")
	m := message("a@example.com", "uno@malo.test", "\xff@malo.test", "b@example.com", "ñoño@malo.test")
	m.To[1].Notify = smtp.NotifySuccess
	result, err := transport.Send(t.Context(), m)
	require.ErrorContains(t, err, "550 5.1.1 No")
	require.Equal(t, []string{
		"a@example.com accepted", "uno@malo.test rejected", "\xff@malo.test rejected",
		"b@example.com accepted", "ñoño@malo.test rejected",
	}, outcomes(result))
	require.ErrorIs(t, result.Recipients[2].Err, smtp.ErrBadAddress)
	require.Equal(t, m.To[1], result.Recipients[1].Recipient)
	require.Len(t, recorder.One(t).To, 2)

	result, err = transport.Send(t.Context(), message("uno@malo.test", "ñoño@malo.test"))
	require.NoError(t, err)
	require.Equal(t, []string{"uno@malo.test accepted", "ñoño@malo.test accepted"}, outcomes(result))
	diverted := recorder.One(t, smtptest.To("buzon@example.com"))
	require.Equal(t, "X-Original-To: uno@malo.test\r\n"+
		"X-Original-To: =?utf-8?q?=C3=B1o=C3=B1o@malo.test?=\r\n"+
		"Subject: Hola\r\n\r\nHola\r\n", string(diverted.Data))
}

func TestGuardDrops(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder()
	transport, err := smtp.Guard(recorder, nil)
	require.NoError(t, err)
	result, err := transport.Send(t.Context(), message("a@example.com"))
	require.NoError(t, err)
	require.Equal(t, "250 2.0.0 Dropped by the guard", result.Recipients[0].Reply.String())
	recorder.None(t)
}

// sized notes the declared size of what is sent.
type sized struct {
	smtp.Transport
	size int64
}

func (s *sized) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	s.size = m.Content.(interface{ Size() int64 }).Size()
	return s.Transport.Send(ctx, m)
}

type unsized struct{ smtp.Content }

func (unsized) Open() (io.ReadCloser, error) { return nil, os.ErrNotExist }

func TestGuardDeclaresTheSize(t *testing.T) {
	t.Parallel()
	recorder := smtptest.NewRecorder()
	next := &sized{Transport: recorder}
	transport := guard(t, next, "buzon@example.com")
	path := filepath.Join(t.TempDir(), "m.eml")
	require.NoError(t, os.WriteFile(path, []byte("Subject: Hola\r\n\r\n"), 0o600))
	m := message("a@malo.test")
	for _, content := range []smtp.Content{m.Content, smtp.File(path)} {
		m.Content = content
		_, err := transport.Send(t.Context(), m)
		require.NoError(t, err)
		messages := recorder.Messages()
		require.Equal(t, next.size, messages[len(messages)-1].Size)
	}
	m.Content = unsized{}
	_, err := transport.Send(t.Context(), m)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.EqualValues(t, -1, next.size)
}

func TestGuardLeavesNoContentToOthers(t *testing.T) {
	t.Parallel()
	m := message("a@malo.test")
	m.Content = nil
	_, err := guard(t, smtptest.NewRecorder(), "buzon@example.com").Send(t.Context(), m)
	require.ErrorIs(t, err, smtp.ErrBadContent)
}

func TestGuardRefusesBadOptions(t *testing.T) {
	t.Parallel()
	_, err := smtp.Guard(nil, &smtp.GuardOptions{Allow: []string{"example.com"}, Redirect: "nadie"})
	require.ErrorContains(t, err, `pattern "example.com" matches no address: write "*@example.com"`)
	require.ErrorIs(t, err, smtp.ErrBadAddress)
}

func ExampleGuard() {
	relay := smtptest.NewRecorder() // in a program, a *smtp.Relay
	transport, err := smtp.Guard(relay, &smtp.GuardOptions{
		Allow:    []string{"*@example.com"},
		Redirect: "pruebas@example.com",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := transport.Send(context.Background(), message("ana@example.com", "cliente@example.org")); err != nil {
		fmt.Println(err)
	}
	fmt.Print(&relay.Mailbox)
	// Output:
	// ana@example.com -> ana@example.com: Hola
	// ana@example.com -> pruebas@example.com: Hola
}
