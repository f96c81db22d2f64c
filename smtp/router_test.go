package smtp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// message goes from Ana to the given addresses.
func message(to ...string) *smtp.Message {
	m := &smtp.Message{From: "ana@example.com", Content: smtp.Bytes([]byte("Subject: Hola\r\n\r\nHola\r\n"))}
	for _, addr := range to {
		m.To = append(m.To, smtp.Recipient{Addr: addr})
	}
	return m
}

// outcomes are the statuses by address, in order.
func outcomes(result *smtp.Result) []string {
	var list []string
	for _, o := range result.Recipients {
		list = append(list, o.Addr+" "+o.Status.String())
	}
	return list
}

func TestRouteByDomain(t *testing.T) {
	t.Parallel()
	ours := smtptest.NewRecorder()
	theirs := smtptest.NewRecorder(smtptest.Rule{To: "c@*", Reply: "550 5.1.1 No"})
	route := smtp.Route(func(_ *smtp.Message, to smtp.Recipient) smtp.Transport {
		switch {
		case strings.HasSuffix(to.Addr, "@example.com"):
			return ours
		case strings.HasSuffix(to.Addr, "@example.net"):
			return theirs
		}
		return nil
	})
	m := message("a@example.com", "b@example.net", "x@nowhere.test", "c@example.net", "d@example.com")
	result, err := route.Send(t.Context(), m)
	require.Equal(t, []string{
		"a@example.com accepted", "b@example.net accepted", "x@nowhere.test deferred",
		"c@example.net rejected", "d@example.com accepted",
	}, outcomes(result))
	require.EqualError(t, err, "smtp: resolve: no transport for this recipient")
	require.ErrorIs(t, err, smtp.ErrTemporary)
	require.Len(t, ours.One(t).To, 2)
	require.Len(t, theirs.One(t).To, 1)
	require.Len(t, m.To, 5, "the message was changed")
}

func ExampleRoute() {
	relay, bulk := smtptest.NewRecorder(), smtptest.NewRecorder()
	transport := smtp.Route(func(m *smtp.Message, _ smtp.Recipient) smtp.Transport {
		if m.Stream == "boletín" {
			return bulk
		}
		return relay
	})
	m := message("luis@example.net")
	m.Stream = "boletín"
	_, err := transport.Send(context.Background(), m)
	fmt.Println(relay.Len(), bulk.Len(), err)
	// Output: 0 1 <nil>
}
