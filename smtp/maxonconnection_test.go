package smtp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// TestMaxOnConnection: a message can bound the connection that carries it.
func TestMaxOnConnection(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(nil)
	defer server.Close()
	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	require.NoError(t, err)
	defer relay.Close()
	for i := range 9 {
		m := &smtp.Message{From: "a@example.com", To: []smtp.Recipient{{Addr: "b@example.com"}}, Content: smtp.Bytes([]byte("Subject: x\r\n\r\nx\r\n"))}
		if i < 6 {
			m.MaxOnConnection = 2
		}
		_, err := relay.Send(t.Context(), m)
		require.NoError(t, err)
	}
	require.Equal(t, 4, server.Connections(), "three with two messages, one with three")
}
