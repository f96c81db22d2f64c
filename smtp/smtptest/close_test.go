package smtptest_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// TestCloseLeavesNothingBehind closes the server in every state of a
// conversation. A goroutine that stayed would fail the bubble.
func TestCloseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const envelope = "MAIL FROM:<a@x.es>\r\nRCPT TO:<b@x.es>\r\n"
	tests := []struct {
		name, said string
		rule       smtptest.Rule
	}{
		{"at the greeting", "", smtptest.Rule{On: smtptest.Connect, Do: smtptest.Hang}},
		{"idle", "EHLO x\r\n", smtptest.Rule{}},
		{"in a line", "EHLO x\r\nMAIL FR", smtptest.Rule{}},
		{"hanging", "EHLO x\r\nNOOP\r\n", smtptest.Rule{On: smtptest.Noop, Do: smtptest.Hang}},
		{"in a delay", "EHLO x\r\nNOOP\r\n", smtptest.Rule{On: smtptest.Noop, Delay: time.Hour}},
		{"in a handshake", "EHLO x\r\nSTARTTLS\r\n", smtptest.Rule{}},
		{"in an exchange", "EHLO x\r\nAUTH LOGIN\r\n", smtptest.Rule{}},
		{"in a message", "EHLO x\r\n" + envelope + "DATA\r\nHola", smtptest.Rule{}},
		{"in a chunk", "EHLO x\r\n" + envelope + "BDAT 100\r\nHola", smtptest.Rule{}},
		{"between chunks", "EHLO x\r\n" + envelope + "BDAT 4\r\nHola", smtptest.Rule{}},
		{"before a message", "EHLO x\r\n" + envelope + "DATA\r\n", smtptest.Rule{On: smtptest.Body, Do: smtptest.Hang}},
		{"before a chunk", "EHLO x\r\n" + envelope + "BDAT 4\r\n", smtptest.Rule{On: smtptest.Body, Do: smtptest.Hang}},
		{"after a message", "EHLO x\r\n" + envelope + "BDAT 4 LAST\r\nHola", smtptest.Rule{On: smtptest.End, Do: smtptest.Hang}},
		{"after QUIT", "EHLO x\r\nQUIT\r\n", smtptest.Rule{}},
	}
	for _, test := range tests {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/LMTP=%t", test.name, lmtp), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := smtptest.NewServer(&smtptest.Options{
						Network: "pipe", LMTP: lmtp, PlaintextAuth: true,
						Rules: []smtptest.Rule{test.rule},
					})
					conn, err := server.DialContext(t.Context(), "", "")
					require.NoError(t, err)
					said := test.said
					if lmtp {
						said = strings.Replace(said, "EHLO", "LHLO", 1)
					}
					go func() { _, _ = io.WriteString(conn, said) }()
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					synctest.Wait()
					server.Close()
					server.Close()
					_, err = server.DialContext(t.Context(), "", "")
					require.ErrorIs(t, err, net.ErrClosed)
				})
			})
		}
	}
}

// TestTalksAtOnce is for the race detector.
func TestTalksAtOnce(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{{To: "*1@*", Times: 1, Reply: "451 4.7.1 Luego"}}})
	relay := newRelay(t, server, &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range 20 {
				_, _ = relay.Send(t.Context(), to(fmt.Sprintf("%d-%d@x.es", i, j)))
				_ = server.Messages()
				_ = server.Transcript()
			}
		}()
	}
	_, err := server.Wait(t.Context(), 50)
	require.NoError(t, err)
	server.Script()
	for range 8 {
		<-done
	}
	server.Close()
	require.GreaterOrEqual(t, server.Len(), 50)
}

func TestRequireTLSIsOfferedUnderTLS(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	require.NotContains(t, hello(t, server).say("EHLO x", "250 "), "REQUIRETLS")
	m := to("maria@example.net")
	m.TLS = smtp.TLSRequire
	_, err := newRelay(t, server, &smtp.RelayOptions{TLSConfig: server.ClientTLS()}).Send(t.Context(), m)
	require.NoError(t, err)
	require.True(t, server.One(t).RequireTLS)
}

// TestForeignCertificate holds that the server's own configuration is used.
func TestForeignCertificate(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	server := newServer(t, &smtptest.Options{
		CA:        ca,
		TLS:       smtptest.ImplicitTLS,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{ca.Issue("otro.example")}},
	})
	conn, err := server.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	config := server.ClientTLS()
	config.ServerName = "mx.example.com"
	err = tls.Client(conn, config).HandshakeContext(t.Context())
	require.ErrorContains(t, err, "valid for otro.example, not mx.example.com")
	require.True(t, ca.Certificate().IsCA)
}

var replyLine = regexp.MustCompile(`^[2-5][0-9]{2}[ -]`)

// FuzzServer says anything to a server. However it is cut, the answers are the
// same and well formed, and nothing panics.
func FuzzServer(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@x.es>\r\nRCPT TO:<b@x.es>\r\nDATA\r\n.\r\n..\r\n.\r\nQUIT\r\n"), uint8(3))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.es>\r\nBDAT 5\r\nabcdeBDAT 0 LAST\r\nRSET\r\n"), uint8(1))
	f.Add([]byte("EHLO x\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nAUTH CRAM-MD5\r\n*\r\nBDAT 99999999999 LAST\r\n"), uint8(9))
	f.Add([]byte("HELO x\r\nBDAT -1\r\nBDAT 3\r\nabcNOOP\r\nSTARTTLS x\r\nVRFY a\r\n"), uint8(2))
	server := smtptest.NewServer(&smtptest.Options{
		Network: "unix", TLS: smtptest.NoTLS, PlaintextAuth: true, Mechanisms: []string{"LOGIN", "PLAIN"},
	})
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, said []byte, cut uint8) {
		whole := talk(t, server, said, len(said)+1)
		require.Equal(t, whole, talk(t, server, said, int(cut)+1))
		for line := range strings.Lines(whole) {
			require.Regexp(t, replyLine, line)
		}
		// go-smtp calls a nil session, and recovers, if a client leaves right after BDAT.
		_, panicked, _ := strings.Cut(server.Transcript(), "panic serving")
		require.NotContains(t, panicked[:min(len(panicked), 2000)], "smtptest.(*session)")
	})
}

// talk says something in pieces and gives all answers.
func talk(t *testing.T, server *smtptest.Server, said []byte, size int) string {
	t.Helper()
	conn, err := server.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	go func() {
		for len(said) > 0 {
			n := min(size, len(said))
			if _, err := conn.Write(said[:n]); err != nil {
				return
			}
			said = said[n:]
		}
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	var answers bytes.Buffer
	_, _ = answers.ReadFrom(conn) // fails where the server has left in anger
	return answers.String()
}

// TestCutShort: a message that its client did not send to the end is not received,
// however it was on its way.
func TestCutShort(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"BDAT 100 LAST\r\nSubject: Hola\r\n\r\nHola", "BDAT 4\r\nHolaBDAT 100 LAST\r\nHola", "DATA\r\nSubject: Hola\r\n\r\nHola\r\n"} {
		server := smtptest.NewServer(nil)
		c, err := net.Dial("tcp", server.Addr())
		require.NoError(t, err)
		_, err = io.WriteString(c, "EHLO x\r\nMAIL FROM:<a@x.es>\r\nRCPT TO:<b@x.es>\r\n"+said)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		_, err = io.Copy(io.Discard, c)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		server.Close()
		require.Zero(t, server.Len(), "%q", said)
	}
}
