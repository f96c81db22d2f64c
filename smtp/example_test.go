package smtp_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

func ExampleRelay_Send() {
	server := smtptest.NewServer(&smtptest.Options{
		TLS:   smtptest.NoTLS,
		Rules: []smtptest.Rule{{To: "nadie@*", Reply: "550 5.1.1 No such user"}},
	})
	defer server.Close()
	relay, err := smtp.NewRelay(server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()

	result, err := relay.Send(context.Background(), &smtp.Message{
		From:    "ana@example.com",
		To:      []smtp.Recipient{{Addr: "luis@example.com"}, {Addr: "nadie@example.com"}},
		Content: smtp.Bytes([]byte("From: ana@example.com\r\nSubject: Hola\r\n\r\nHola, Luis.\r\n")),
	})
	for _, outcome := range result.Recipients {
		fmt.Println(outcome.Addr, outcome.Status, outcome.Reply.Enhanced)
	}
	fmt.Println(errors.Is(err, smtp.ErrPermanent))
	// Output:
	// luis@example.com accepted 2.0.0
	// nadie@example.com rejected 5.1.1
	// true
}

func ExampleNewRelay() {
	_, err := smtp.NewRelay("smtp://smtp.example.com?tls=perhaps", nil)
	fmt.Println(err)
	// Output: smtp: relay: URL option tls="perhaps": it is none of required, opportunistic and none
}

func ExampleRelay_Check() {
	server := smtptest.NewServer(&smtptest.Options{Users: map[string]string{"ana": "secreto"}})
	defer server.Close()
	relay, err := smtp.NewRelay("smtp://"+server.Addr(), &smtp.RelayOptions{
		Auth:      smtp.Password("ana", "equivocado"),
		TLSConfig: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()
	_, err = relay.Check(context.Background())
	fmt.Println(errors.Is(err, smtp.ErrAuth))
	// Output: true
}

func ExampleWithTrace() {
	server := smtptest.NewServer(&smtptest.Options{TLS: smtptest.NoTLS})
	defer server.Close()
	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{LocalName: "mta.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()
	ctx := smtp.WithTrace(context.Background(), &smtp.Trace{
		Command: func(line string) { fmt.Println(line) },
	})
	_, _ = relay.Send(ctx, &smtp.Message{
		From:    "ana@example.com",
		To:      []smtp.Recipient{{Addr: "josé@example.com"}},
		Content: smtp.Bytes([]byte("Subject: Hola\r\n\r\nHola.\r\n")),
	})
	// Output:
	// EHLO mta.example.com
	// MAIL FROM:<ana@example.com> SIZE=24 SMTPUTF8
	// RCPT TO:<josé@example.com>
	// BDAT 24 LAST
}

func ExampleParseAddress() {
	local, domain, err := smtp.ParseAddress("josé@correo.España.example")
	fmt.Println(local, domain, err)
	_, _, err = smtp.ParseAddress("ana@example.com> SIZE=1")
	fmt.Println(err)
	// Output:
	// josé correo.xn--espaa-rta.example <nil>
	// smtp: malformed address "ana@example.com> SIZE=1": character that a domain cannot hold
}

func ExampleToken() {
	server := smtptest.NewServer(&smtptest.Options{
		Users:      map[string]string{"ana@example.com": "ya29.secreto"},
		Mechanisms: []string{"XOAUTH2"},
	})
	defer server.Close()
	relay, err := smtp.NewRelay("smtp://"+server.Addr(), &smtp.RelayOptions{
		Auth: smtp.Token("ana@example.com", func(context.Context) (string, error) {
			return "ya29.secreto", nil // as an oauth2.TokenSource gives it
		}),
		TLSConfig: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()
	_, err = relay.Check(context.Background())
	fmt.Println(err)
	// Output: <nil>
}
