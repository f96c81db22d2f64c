package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp/smtptest"
)

// TestMain lets the test binary be the program: one that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start runs the program in a process of its own.
func start(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	out := &bytes.Buffer{}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUICKSTART_MAIN=1", "SMTP_URL=")
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	return cmd, out
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "mail.db")
	out := &bytes.Buffer{}
	require.NoError(t, run(t.Context(), []string{"-db", database}, "", out))
	text := out.String()
	for _, want := range []string{
		`Queued 1000 mails durably`,
		`1000 of 1000`,
		`delivered +\d+`,
		`deferred, then delivered +40`,
		`bounced hard +bad-mailbox +20`,
		`bounced soft +mailbox-full +20`,
		`opened +8`,
		`clicked +4`,
		`unsubscribed +1`,
		`\d\d:\d\d:\d\d\.\d+ +queued`,
		`\d\d:\d\d:\d\d\.\d+ +delivered`,
		`\d\d:\d\d:\d\d\.\d+ +opened`,
		`clicked +https://cartadelbarrio\.example/`,
		`holds 960 recipients .*, 0 of them more than once`,
		regexp.QuoteMeta(database),
	} {
		require.Regexp(t, want, text)
	}
}

// TestKilled kills the program in the middle, several times, and starts it again:
// nobody may be missing from the provider's record.
func TestKilled(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "mail.db")
	for i := range 4 {
		cmd, _ := start(t, "-db", database)
		waitForRecord(t, database, 150*(i+1))
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	cmd, out := start(t, "-db", database)
	require.NoError(t, cmd.Wait(), out)
	require.Contains(t, out.String(), "which an earlier run left unfinished")
	received, err := countReceived(database)
	require.NoError(t, err)
	for _, r := range makeRecipients(1000) {
		if refused := strings.HasPrefix(r.To.Address, "desconocida") || strings.HasPrefix(r.To.Address, "llena"); !refused {
			require.Contains(t, received, r.To.Address, out)
		}
	}
	require.Len(t, received, 960)
}

// waitForRecord waits until the provider has written down so many mails.
func waitForRecord(t *testing.T, database string, lines int) {
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(recordPath(database))
		return err == nil && bytes.Count(text, []byte("\n")) >= lines
	}, 60*time.Second, time.Millisecond)
}

func TestOneMailThroughARelay(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(nil)
	defer server.Close()
	out := &bytes.Buffer{}
	require.NoError(t, run(t.Context(), []string{"ana@correo.example"}, server.URL(), out))
	require.Regexp(t, `delivered +250`, out)
	received := server.Messages()
	require.Len(t, received, 1)
	require.Equal(t, "ana@correo.example", received[0].To[0].Addr)
}

func TestWrongInput(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(nil)
	defer server.Close()
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	tests := []struct {
		name, relay string
		args        []string
		want        []string
	}{
		{"no such file", "", []string{"-html", "no-hay.html"}, []string{"no-hay.html", "no such file"}},
		{"no such list", "", []string{"-to", "no-hay.csv"}, []string{"no-hay.csv", "no such file"}},
		{"URL with another scheme", "http://mail.example.com", []string{"ana@correo.example"}, []string{"SMTP_URL", "http"}},
		{"URL that is none", "smtp://:port", []string{"ana@correo.example"}, []string{"SMTP_URL", "port"}},
		{"nobody listens", "smtp://127.0.0.1:1", []string{"ana@correo.example"}, []string{"SMTP_URL", "127.0.0.1:1"}},
		{"no address", server.URL(), nil, []string{"address"}},
		{"malformed address", server.URL(), []string{"ana@@correo.example"}, []string{"ana@@correo.example"}},
		{"address without a relay", "", []string{"ana@correo.example"}, []string{"ana@correo.example", "SMTP_URL"}},
		{"malformed address in a list", "", []string{"-to", write("a.csv", "email,nombre,calle\nana@correo.example,Ana,Mayor\nluis,Luis,Mayor\n")}, []string{`"luis"`, "recipient 2"}},
		{"field without a value", "", []string{"-html", write("b.html", "<p>Hola {{apodo}}</p>")}, []string{"apodo", "persona0@correo.example"}},
		{"list without a header", "", []string{"-to", write("c.csv", "ana@correo.example,Ana\n")}, []string{"c.csv", "email"}},
		{"no recipients", "", []string{"-n", "0"}, []string{"-n 0"}},
		{"no such flag", "", []string{"-rapido"}, []string{"-rapido"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			database := filepath.Join(t.TempDir(), "mail.db")
			err := run(t.Context(), append([]string{"-db", database}, test.args...), test.relay, &bytes.Buffer{})
			require.Error(t, err)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			if text, err := os.ReadFile(recordPath(database)); err == nil {
				require.Empty(t, text, "nothing is sent")
			}
		})
	}
	require.Zero(t, server.Len(), "nothing is sent")
}

func TestAnotherProcessHoldsTheFile(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "mail.db")
	cmd, _ := start(t, "-db", database, "-n", "20000")
	waitForRecord(t, database, 1)
	err := run(t.Context(), []string{"-db", database}, "", &bytes.Buffer{})
	require.ErrorContains(t, err, database)
	require.ErrorContains(t, err, "another process")
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

func TestBar(t *testing.T) {
	t.Parallel()
	out := &bytes.Buffer{}
	b := newBar(out, 1000)
	for i := range 1001 {
		b.show(i)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 10)
	require.Equal(t, "["+strings.Repeat("#", 20)+strings.Repeat(".", 20)+"] "+strconv.Itoa(500)+" of 1000", lines[4])
}

// TestKeepsWhatIsNotItsOwn: a queue of somebody else is neither sent nor removed, and
// a new start removes no file but the program's own.
func TestKeepsWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "mail.db")
	require.NoError(t, os.WriteFile(database, []byte("of a host"), 0o644))
	err := run(t.Context(), []string{"-db", database}, "", &bytes.Buffer{})
	require.ErrorContains(t, err, database)
	require.ErrorContains(t, err, "-db")
	require.FileExists(t, database)

	require.NoError(t, os.Remove(database))
	require.NoError(t, run(t.Context(), []string{"-db", database, "-n", "3"}, "", &bytes.Buffer{}))
	require.NoError(t, os.WriteFile(database+".copia", []byte("x"), 0o644))
	require.NoError(t, run(t.Context(), []string{"-db", database, "-n", "3"}, "", &bytes.Buffer{}))
	require.FileExists(t, database+".copia")
}
