package bounce_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

func ExampleReadMbox() {
	box := "From MAILER-DAEMON Wed Apr  1 09:00:00 2026\n" + postfixReport + "\nFrom ana@example.net Wed Apr  1 10:00:00 2026\nFrom: ana@example.net\nSubject: Hola\n\n>From aquí, todo bien.\n"
	err := bounce.ReadMbox(context.Background(), strings.NewReader(box), func(_ context.Context, r *bounce.Report) error {
		fmt.Println(r.Kind, r.From)
		return nil
	})
	fmt.Println(err)
	// Output:
	// bounce MAILER-DAEMON@mx1.example.com
	// not-report ana@example.net
	// <nil>
}

func TestReadMbox(t *testing.T) {
	mail := func(i int) string {
		return fmt.Sprintf("From x Wed Apr  1 09:00:00 2026\nFrom: r%d@example.net\nMessage-ID: <%d@example.net>\n\nHola.\nFrom here it goes on.\n\n", i, i)
	}
	ids := func(box string) (all []string) {
		err := bounce.ReadMbox(t.Context(), strings.NewReader(box), func(_ context.Context, r *bounce.Report) error {
			all = append(all, r.ID)
			return nil
		})
		require.NoError(t, err)
		return all
	}
	require.Equal(t, []string{"1@example.net", "2@example.net", "3@example.net"}, ids(mail(1)+mail(2)+mail(3)))
	require.Equal(t, []string{"1@example.net", "2@example.net"}, ids(strings.ReplaceAll(mail(1)+mail(2), "\n", "\r\n")))
	require.Empty(t, ids(""))
	require.Equal(t, []string{"1@example.net"}, ids(strings.TrimRight(mail(1), "\n")))
	long := strings.Replace(mail(1), "Hola.", strings.Repeat("x", 100_000), 1)
	require.Equal(t, []string{"1@example.net", "2@example.net"}, ids(long+mail(2)))
}

func TestReadMboxStops(t *testing.T) {
	box := strings.Repeat("From x\nFrom: a@example.net\n\nHola.\n\n", 3)
	full := errors.New("full")
	n := 0
	err := bounce.ReadMbox(t.Context(), strings.NewReader(box), func(context.Context, *bounce.Report) error {
		if n++; n == 2 {
			return full
		}
		return nil
	})
	require.ErrorIs(t, err, full)
	require.EqualError(t, err, "bounce: read mbox after 1 mails: full")
	require.Equal(t, 2, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = bounce.ReadMbox(ctx, strings.NewReader(box), func(context.Context, *bounce.Report) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

func TestDrainMaildir(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	put := func(name, mail string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(mail), 0o600))
	}
	put("new/1.host", postfixReport)
	put("new/2.host", "From: b@example.net\n\nHola.\n")
	put("cur/3.host:2,", "From: c@example.net\n\nHola.\n")
	put("cur/4.host:2,S", "From: d@example.net\n\nHola.\n")
	put("tmp/5.host", "half")

	var got []string
	busy := errors.New("busy")
	refuse := "b@example.net"
	handle := func(_ context.Context, r *bounce.Report) error {
		if r.From == refuse {
			return busy
		}
		got = append(got, r.From)
		return nil
	}
	err := bounce.DrainMaildir(t.Context(), dir, handle)
	require.ErrorIs(t, err, busy)
	require.ErrorContains(t, err, filepath.Join("new", "2.host"))
	refuse = ""
	require.NoError(t, bounce.DrainMaildir(t.Context(), dir, handle))
	require.NoError(t, bounce.DrainMaildir(t.Context(), dir, handle))
	require.Equal(t, []string{"MAILER-DAEMON@mx1.example.com", "b@example.net", "c@example.net"}, got)
	for _, name := range []string{"cur/1.host:2,S", "cur/2.host:2,S", "cur/3.host:2,S", "cur/4.host:2,S", "tmp/5.host"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	require.Error(t, bounce.DrainMaildir(t.Context(), t.TempDir(), handle), "no Maildir")
}
