package smtp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

func TestSend(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]string{
		"plain":                   nil,
		"pipelining":              {"PIPELINING"},
		"chunking":                {"CHUNKING"},
		"pipelining and chunking": {"PIPELINING", "CHUNKING"},
		"everything":              {"PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 100000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				p.serve(func(command, body string) string {
					if command == "." {
						bodies = append(bodies, body)
					}
					return ""
				})
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			for range 3 {
				result, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
				require.Equal(t, "accepted", statuses(result))
				require.Equal(t, "4XyZ", result.Recipients[0].QueueID)
			}
			require.NoError(t, relay.Shutdown(t.Context()))
			require.Equal(t, []string{hello, hello, hello}, bodies)
			require.Equal(t, 1, server.dialed())
		})
	}
}
