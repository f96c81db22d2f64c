package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// mails are a bounce, a person's mail, and a notice of absence.
var mails = []string{
	"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nTo: b+1@bounces.example.com\nSubject: failure notice\n\n" +
		"Hi. This is the qmail-send program at mx.example.com.\n\n<ana@example.net>:\n550 5.1.1 User unknown\n",
	"From: luis@example.org\nTo: hola@example.com\nSubject: Pregunta\n\n¿A qué hora abren?\n",
	"From: eva@example.org\nTo: hola@example.com\nSubject: Respuesta automática: Oferta\nAuto-Submitted: auto-replied\n\nVuelvo el lunes.\n",
}

// TestRun drains a mailbox twice: the second time nothing is left but what is no
// report.
func TestRun(t *testing.T) {
	address := serve(t)
	for _, want := range []string{
		"bounce: ana@example.net: bad-mailbox, hard: suppress\nauto-reply: eva@example.org: auto-reply, unknown: none\n",
		"",
	} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), "imap://tienda:secreta@"+address+"/INBOX", &out))
		require.Equal(t, want, out.String())
	}
}

func TestRunFaults(t *testing.T) {
	address := serve(t)
	for mailbox, want := range map[string]string{
		"":                              "IMAP_URL is not of the form",
		"imap://u:p@mail.example.com/":  `scheme "imap": want imaps`,
		"imap://tienda:otra@" + address: "log in",
		"imap://tienda:secreta@" + address + "/Nada": "select Nada",
	} {
		require.ErrorContains(t, run(t.Context(), mailbox, io.Discard), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, "imap://tienda:secreta@"+address, io.Discard), context.Canceled)
}

// TestDovecot drains a mailbox of a real server, into which it puts a bounce. The
// variable holds the mailbox's URL.
func TestDovecot(t *testing.T) {
	mailbox := os.Getenv("FRANQUEO_IMAP_URL")
	if mailbox == "" {
		if os.Getenv("FRANQUEO_CI") != "" {
			t.Fatal("FRANQUEO_IMAP_URL is not set")
		}
		t.Skip("set FRANQUEO_IMAP_URL to run it")
	}
	u, err := url.Parse(mailbox)
	require.NoError(t, err)
	c, err := dial(u)
	require.NoError(t, err)
	defer c.Close()
	password, _ := u.User.Password()
	require.NoError(t, c.Login(u.User.Username(), password).Wait())
	mail := strings.ReplaceAll(strings.ReplaceAll(mails[0], "ana@", rand.Text()+"@"), "\n", "\r\n")
	put := c.Append("INBOX", int64(len(mail)), nil)
	_, err = io.WriteString(put, mail)
	require.NoError(t, err)
	require.NoError(t, put.Close())
	_, err = put.Wait()
	require.NoError(t, err)

	report, err := bounce.Parse(strings.NewReader(mail))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), mailbox, &out))
	require.Contains(t, out.String(), report.Recipients[0].Final+": bad-mailbox, hard: suppress")
	out.Reset()
	require.NoError(t, run(t.Context(), mailbox, &out))
	require.NotContains(t, out.String(), report.Recipients[0].Final)
}

// serve runs an IMAP server with a mailbox of our mails, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	user := imapmemserver.NewUser("tienda", "secreta")
	require.NoError(t, user.Create("INBOX", nil))
	for _, mail := range mails {
		_, err := user.Append("INBOX", literal{strings.NewReader(mail)}, &imap.AppendOptions{})
		require.NoError(t, err)
	}
	memory := imapmemserver.New()
	memory.AddUser(user)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return memory.NewSession(), nil, nil
		},
		InsecureAuth: true,
		Logger:       log.New(io.Discard, "", 0),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		<-served
	})
	return listener.Addr().String()
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }
