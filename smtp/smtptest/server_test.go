package smtptest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	netsmtp "net/smtp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

const text = "Subject: Hola\r\n\r\nUna línea\r\n.\r\n..y otra\r\n"

// newServer starts a server that ends with the test.
func newServer(t *testing.T, opts *smtptest.Options) *smtptest.Server {
	t.Helper()
	server := smtptest.NewServer(opts)
	t.Cleanup(server.Close)
	server.LogOnFailure(t)
	return server
}

// client speaks raw lines.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, server *smtptest.Server) *client {
	t.Helper()
	conn, err := server.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

// hello reads the greeting and says EHLO.
func hello(t *testing.T, server *smtptest.Server) *client {
	t.Helper()
	c := dial(t, server)
	c.expect("220 ")
	c.say("EHLO cliente.example", "250 ")
	return c
}

func (c *client) send(octets string) {
	c.t.Helper()
	_, err := c.conn.Write([]byte(octets))
	require.NoError(c.t, err)
}

// reply reads a whole reply; it is empty when the connection is closed.
func (c *client) reply() string {
	c.t.Helper()
	var reply strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		reply.WriteString(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return reply.String()
		}
	}
}

// expect reads a reply and compares the start of its last line.
func (c *client) expect(want string) string {
	c.t.Helper()
	reply := c.reply()
	lines := strings.Split(strings.TrimSuffix(reply, "\r\n"), "\r\n")
	require.Truef(c.t, strings.HasPrefix(lines[len(lines)-1], want), "want %q, got %q", want, reply)
	return reply
}

// say sends a line and expects the reply to begin so.
func (c *client) say(line, want string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.expect(want)
}

// deliver says MAIL, RCPT for each recipient, DATA and the message.
func (c *client) deliver(want string, to ...string) {
	c.t.Helper()
	c.say("MAIL FROM:<ana@example.com>", "250 ")
	for _, addr := range to {
		c.say("RCPT TO:<"+addr+">", "250 ")
	}
	c.say("DATA", "354 ")
	c.send("Hola\r\n.\r\n")
	c.expect(want)
}

func TestRecordsWhatArrives(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	c := hello(t, server)
	c.say("MAIL FROM:<ana@example.com> SIZE=40 BODY=8BITMIME RET=HDRS ENVID=QQ314159 SMTPUTF8", "250 ")
	c.say("RCPT TO:<luis@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Luis@example.net", "250 ")
	c.say("DATA", "354 ")
	c.send("Subject: Hola\r\n\r\nUna línea\r\n..\r\n...y otra\r\n.\r\n")
	c.expect("250 ")

	messages, err := server.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	m := messages[0]
	require.Equal(t, text, string(m.Data))
	require.WithinDuration(t, time.Now(), m.Time, time.Minute)
	require.EqualValues(t, len(text), m.Size)
	m.Data, m.Time, m.Size = nil, time.Time{}, 0
	require.Equal(t, &smtptest.Message{
		From: "ana@example.com",
		To: []smtp.Recipient{{
			Addr:   "luis@example.net",
			Notify: smtp.NotifySuccess | smtp.NotifyDelay,
			ORCPT:  "Luis@example.net",
		}},
		DeclaredSize: 40,
		EnvelopeID:   "QQ314159",
		Return:       smtp.ReturnHeaders,
		Body:         "8BITMIME",
		UTF8:         true,
		Hello:        "cliente.example",
		Conn:         1,
	}, m)
}

func TestPipelinedGroupsAndChunks(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	c := hello(t, server)
	envelope := "MAIL FROM:<ana@example.com>\r\nRCPT TO:<luis@example.net>\r\n"
	c.send(envelope + "BDAT 6\r\nHola\r\nBDAT 8 LAST\r\n\r\n.\r\nA\r\n" +
		envelope + "BDAT 0 LAST\r\n" +
		envelope + "DATA\r\n")
	for _, want := range []string{"250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "354 "} {
		c.expect(want)
	}
	c.send("uno\r\n.\r\n" + envelope + "DATA\r\n") // the next group behind the message
	for _, want := range []string{"250 ", "250 ", "250 ", "354 "} {
		c.expect(want)
	}
	c.send("dos\r\n.\r\nQUIT\r\n")
	c.expect("250 ")
	c.expect("221 ")
	require.Empty(t, c.reply())

	var got []string
	for _, m := range server.Messages() {
		got = append(got, string(m.Data))
	}
	require.Equal(t, []string{"Hola\r\n\r\n.\r\nA\r\n", "", "uno\r\n", "dos\r\n"}, got)
}

func TestStartTLSWithStandardClient(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Users: map[string]string{"ana": "secreto"}})
	conn, err := net.Dial("tcp", server.Addr())
	require.NoError(t, err)
	c, err := netsmtp.NewClient(conn, "localhost")
	require.NoError(t, err)
	offered, _ := c.Extension("AUTH")
	require.False(t, offered, "AUTH in clear")
	config := server.ClientTLS()
	config.ServerName = "localhost"
	require.NoError(t, c.StartTLS(config))
	require.NoError(t, c.Auth(netsmtp.PlainAuth("", "ana", "secreto", "localhost")))
	require.NoError(t, c.Mail("ana@example.com"))
	require.NoError(t, c.Rcpt("luis@example.net"))
	w, err := c.Data()
	require.NoError(t, err)
	fmt.Fprint(w, "Hola\r\n")
	require.NoError(t, w.Close())
	require.NoError(t, c.Quit())

	m := server.Messages()[0]
	require.Equal(t, "ana", m.User)
	require.EqualValues(t, tls.VersionTLS13, m.TLS.Version)
	require.NotContains(t, server.Transcript(), "c2VjcmV0bw")
	require.NotContains(t, server.Transcript(), "Hola")
}

func TestRules(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Rules: []smtptest.Rule{
		{To: "desconocido*", Reply: "550 5.1.1 No existe"},
		{To: "lista-gris*", Times: 2, Reply: "451 4.7.1 Más tarde"},
		{To: "lleno@*", On: smtptest.End, Reply: "552 5.2.2 Buzón\nlleno"},
		{From: "*@malo.example", On: smtptest.Mail, Reply: "550 5.7.1 No"},
		{From: "*@lento.example", On: smtptest.Data, Reply: "451 4.3.0 Luego"},
		{To: "reenviado@*", Reply: "251 2.1.5 Lo reenvío"},
	}})
	c := hello(t, server)
	c.say("MAIL FROM:<x@MALO.example>", "550 5.7.1 No")
	c.say("MAIL FROM:<x@lento.example>", "250 ")
	c.say("RCPT TO:<luis@example.net>", "250 ")
	c.say("DATA", "451 4.3.0 Luego")
	c.say("RSET", "250 ")
	c.say("MAIL FROM:<ana@example.com>", "250 ")
	c.say("RCPT TO:<Desconocido7@example.net>", "550 5.1.1 No existe")
	for _, addr := range []string{"lista-gris1@example.net", "lista-gris2@example.net"} {
		c.say("RCPT TO:<"+addr+">", "451 4.7.1")
		c.say("RCPT TO:<"+addr+">", "451 4.7.1")
		c.say("RCPT TO:<"+addr+">", "250 ")
	}
	c.say("RCPT TO:<reenviado@example.net>", "251 2.1.5 Lo reenvío")
	c.say("DATA", "354 ")
	c.send(".\r\n")
	c.expect("250 ")
	c.say("MAIL FROM:<>", "250 ")
	c.say("RCPT TO:<lleno@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send(".\r\n")
	require.Equal(t, "552-5.2.2 Buzón\r\n552 lleno\r\n", c.reply())
	require.Equal(t, 1, server.Len())
	require.Len(t, server.Messages()[0].To, 3)
	require.Contains(t, server.Transcript(), "1 C: MAIL FROM:<x@MALO.example>\n1 S: 550 5.7.1 No\n")
}

func TestEachStepCanBeAnswered(t *testing.T) {
	t.Parallel()
	lines := map[smtptest.Command]string{
		smtptest.Hello:    "EHLO x",
		smtptest.StartTLS: "STARTTLS",
		smtptest.Auth:     "AUTH PLAIN AGFuYQBzZWNyZXRv",
		smtptest.Mail:     "MAIL FROM:<ana@example.com>",
		smtptest.Rcpt:     "RCPT TO:<luis@example.net>",
		smtptest.Data:     "DATA",
		smtptest.End:      "Hola\r\n.",
		smtptest.Noop:     "NOOP",
		smtptest.Reset:    "RSET",
		smtptest.Quit:     "QUIT",
	}
	before := map[smtptest.Command][]smtptest.Command{
		smtptest.Rcpt: {smtptest.Mail},
		smtptest.Data: {smtptest.Mail, smtptest.Rcpt},
		smtptest.End:  {smtptest.Mail, smtptest.Rcpt, smtptest.Data},
	}
	for command, line := range lines {
		reach := func(t *testing.T, rule smtptest.Rule) *client {
			opts := &smtptest.Options{PlaintextAuth: true, Rules: []smtptest.Rule{rule}}
			if command == smtptest.Auth {
				opts.Users = map[string]string{"ana": "secreto"}
			}
			c := dial(t, newServer(t, opts))
			c.expect("220 ")
			if command != smtptest.Hello {
				c.say("EHLO x", "250 ")
			}
			for _, step := range before[command] {
				c.send(lines[step] + "\r\n")
				c.reply()
			}
			c.send(line + "\r\n")
			return c
		}
		t.Run(string(command), func(t *testing.T) {
			t.Parallel()
			c := reach(t, smtptest.Rule{On: command, Reply: "421 4.3.2 Cerrado"})
			c.expect("421 4.3.2 Cerrado")
			require.Empty(t, c.reply(), "open after 421")
			require.Empty(t, reach(t, smtptest.Rule{On: command, Do: smtptest.Drop}).reply())
			c = reach(t, smtptest.Rule{On: command, Do: smtptest.Garble, Reply: "¿qué?\r\n"})
			require.Equal(t, "¿qué?\r\n", c.reply())
			c = reach(t, smtptest.Rule{On: command, Do: smtptest.Hang})
			require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			require.Empty(t, c.reply())
		})
	}
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Rules: []smtptest.Rule{
		{On: smtptest.Connect, Times: 1, Reply: "554 5.7.1 Aquí no"},
		{On: smtptest.Connect, Times: 1, Do: smtptest.Drop},
	}})
	c := dial(t, server)
	c.expect("554 5.7.1 Aquí no")
	require.Empty(t, c.reply())
	require.Empty(t, dial(t, server).reply())
	dial(t, server).expect("220 mx.example.com")
	require.Equal(t, 3, server.Connections())
}

func TestStoredWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.End, Do: smtptest.Drop}}})
	for _, data := range []string{"DATA\r\nHola\r\n.\r\n", "BDAT 6 LAST\r\nHola\r\n"} {
		c := hello(t, server)
		c.send("MAIL FROM:<ana@example.com>\r\nRCPT TO:<luis@example.net>\r\n" + data)
		for reply := "-"; reply != ""; reply = c.reply() {
			require.NotContains(t, reply, "queued")
		}
	}
	require.Equal(t, 2, server.Len())
	require.Equal(t, "Hola\r\n", string(server.Messages()[1].Data))
}

func TestBodyIsLeftUnread(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Rules: []smtptest.Rule{
		{On: smtptest.Body, Times: 1, Do: smtptest.Drop},
		{On: smtptest.Body, Do: smtptest.Hang},
	}})
	c := hello(t, server)
	c.say("MAIL FROM:<ana@example.com>", "250 ")
	c.say("RCPT TO:<luis@example.net>", "250 ")
	c.say("DATA", "354 ")
	require.Empty(t, c.reply())

	c = hello(t, server)
	c.say("MAIL FROM:<ana@example.com>", "250 ")
	c.say("RCPT TO:<luis@example.net>", "250 ")
	c.send("BDAT 1000000 LAST\r\n")
	require.NoError(t, c.conn.SetDeadline(time.Now().Add(20*time.Millisecond)))
	require.Empty(t, c.reply())
	require.Zero(t, server.Len())
}

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{LMTP: true, Network: "unix", TLS: smtptest.NoTLS, Rules: []smtptest.Rule{
		{To: "lleno@*", On: smtptest.End, Reply: "552 5.2.2 Buzón lleno"},
		{To: "luego@*", On: smtptest.End, Times: 1, Reply: "451 4.3.0 Luego"},
	}})
	c := dial(t, server)
	c.expect("220 ")
	require.NotContains(t, c.say("LHLO cliente.example", "250 "), "STARTTLS")
	for range 2 {
		c.say("MAIL FROM:<ana@example.com>", "250 ")
		for _, addr := range []string{"bien@x.es", "lleno@x.es", "luego@x.es"} {
			c.say("RCPT TO:<"+addr+">", "250 ")
		}
		c.send("BDAT 6 LAST\r\nHola\r\n")
		c.expect("250 ")
		c.expect("552 5.2.2 <lleno@x.es> Buzón lleno")
		c.expect(map[int]string{0: "451 4.3.0", 1: "250 "}[server.Len()-1])
	}
	require.Len(t, server.Messages()[0].To, 1)
	require.Len(t, server.Messages()[1].To, 2)
}

func TestExtensionsCanBeTakenAway(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{
		Without: []string{"pipelining", "CHUNKING", "STARTTLS"},
		With:    []string{"LIMITS MAILMAX=20"},
		MaxSize: 1000,
	})
	c := dial(t, server)
	c.expect("220 ")
	require.Equal(t, "250-mx.example.com Hello x\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n"+
		"250-BINARYMIME\r\n250-DSN\r\n250-SIZE 1000\r\n250 LIMITS MAILMAX=20\r\n", c.say("EHLO x", "250 "))
}

func TestRestart(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	c := hello(t, server)
	server.CloseConnections()
	require.Empty(t, c.reply())
	server.Script(smtptest.Rule{On: smtptest.Connect, Reply: "421 4.3.2 Vuelvo luego"})
	dial(t, server).expect("421 4.3.2")
}

func TestWaitGivesUp(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := server.Wait(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "0 of 1 messages arrived")
}

func TestWrongOptionsPanic(t *testing.T) {
	t.Parallel()
	tests := []struct {
		want string
		opts smtptest.Options
	}{
		{`network "udp"`, smtptest.Options{Network: "udp"}},
		{`mechanism "NTLM" is none of SCRAM-SHA-256-PLUS`, smtptest.Options{Mechanisms: []string{"NTLM"}}},
		{"unknown TLS mode 9", smtptest.Options{TLS: 9}},
		{"negative limit: MaxSize -1", smtptest.Options{MaxSize: -1}},
		{"rule 1: unknown action", smtptest.Options{Network: "udp", Rules: []smtptest.Rule{{Reply: "no"}, {Do: "x"}}}},
		{`rule 0: reply "no" does not begin with a code`, smtptest.Options{Rules: []smtptest.Rule{{Reply: "no"}}}},
		{`To "x" has no meaning on MAIL`, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Mail, To: "x"}}}},
		{`From "x" has no meaning on EHLO`, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Hello, From: "x"}}}},
		{"negative Times -1", smtptest.Options{Rules: []smtptest.Rule{{Times: -1}}}},
		{`unknown command "VRFY"`, smtptest.Options{Rules: []smtptest.Rule{{On: "VRFY"}}}},
		{`unknown action "sing"`, smtptest.Options{Rules: []smtptest.Rule{{Do: "sing"}}}},
		{`on Body the server can only`, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Body, Reply: "550 No"}}}},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			defer func() { require.ErrorContains(t, recover().(error), test.want) }()
			smtptest.NewServer(&test.opts)
		})
	}
}

// TestPipe runs a conversation with delays in no time at all.
func TestPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, &smtptest.Options{Network: "pipe", Rules: []smtptest.Rule{
			{On: smtptest.Mail, Delay: time.Hour},
			{On: smtptest.End, Delay: time.Minute, Times: 1, Reply: "451 4.3.0 Luego"},
			{On: smtptest.Noop, Do: smtptest.Hang},
		}})
		start := time.Now()
		c := hello(t, server)
		c.deliver("451 4.3.0", "luis@example.net")
		c.deliver("250 ", "luis@example.net")
		require.Equal(t, 2*time.Hour+time.Minute, time.Since(start))

		config := server.ClientTLS()
		config.ServerName = "mx.example.com"
		c.say("STARTTLS", "220 ")
		secure := tls.Client(c.conn, config)
		c = &client{t, secure, bufio.NewReader(secure)}
		c.say("EHLO x", "250 ")
		c.deliver("250 ", "luis@example.net")
		c.send("NOOP\r\n") // Close must end it
	})
}
