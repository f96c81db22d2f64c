package smtptest_test

import (
	"context"
	"fmt"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// A server that answers as real providers do: some recipients it does not know,
// some have no room, some it wants to see again.
func Example() {
	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{
		{To: "desconocido*@*", Reply: "550 5.1.1 El usuario no existe"},
		{To: "lleno*@*", On: smtptest.End, Reply: "552 5.2.2 Buzón lleno"},
		{To: "lista-gris*@*", Times: 1, Reply: "451 4.7.1 Vuelva a intentarlo"},
	}})
	defer server.Close()

	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = relay.Close() }()
	for _, addr := range []string{"desconocido@x.es", "lleno@x.es", "lista-gris@x.es", "lista-gris@x.es"} {
		result, _ := relay.Send(context.Background(), &smtp.Message{
			From:    "ana@example.com",
			To:      []smtp.Recipient{{Addr: addr}},
			Content: smtp.Bytes([]byte("Subject: Hola\r\n\r\nHola.\r\n")),
		})
		fmt.Println(addr, result.Recipients[0].Status)
	}
	fmt.Print(&server.Mailbox)
	// Output:
	// desconocido@x.es rejected
	// lleno@x.es rejected
	// lista-gris@x.es deferred
	// lista-gris@x.es accepted
	// ana@example.com -> lista-gris@x.es: Hola
}

// A server that stores a message and dies before it says so leaves the client in
// doubt.
func ExampleRule() {
	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{
		{On: smtptest.End, Do: smtptest.Drop},
	}})
	defer server.Close()

	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = relay.Close() }()
	result, _ := relay.Send(context.Background(), to("maria@example.net"))
	fmt.Println(result.Recipients[0].Status, server.Len())
	// Output: indeterminate 1
}

// A server can change its mind in the middle of a test.
func ExampleServer_Script() {
	server := smtptest.NewServer(nil)
	defer server.Close()
	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = relay.Close() }()

	server.Script(smtptest.Rule{On: smtptest.Mail, Reply: "451 4.3.2 En obras"})
	_, err = relay.Send(context.Background(), to("maria@example.net"))
	fmt.Println(err)
	server.Script()
	_, err = relay.Send(context.Background(), to("maria@example.net"))
	fmt.Println(err)
	// Output:
	// smtp: mail 127.0.0.1: 451 4.3.2 En obras
	// <nil>
}

// Mail that another goroutine sends is waited for.
func ExampleMailbox_Wait() {
	recorder := smtptest.NewRecorder()
	go welcome(recorder, "maria@example.net")

	messages, err := recorder.Wait(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(messages[0].To[0].Addr, messages[0].Text())
	// Output: maria@example.net Hola, María<p>Adiós</p>
}
