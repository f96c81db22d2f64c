package smtptest_test

import (
	"fmt"
	"net/smtp"

	"github.com/franqueo/franqueo/smtp/smtptest"
)

// A server that answers as real providers do: some recipients it does not know,
// some have no room, some it wants to see again.
func Example() {
	server := smtptest.NewServer(&smtptest.Options{TLS: smtptest.NoTLS, Rules: []smtptest.Rule{
		{To: "desconocido*@*", Reply: "550 5.1.1 El usuario no existe"},
		{To: "lleno*@*", On: smtptest.End, Reply: "552 5.2.2 Buzón lleno"},
		{To: "lista-gris*@*", Times: 1, Reply: "451 4.7.1 Vuelva a intentarlo"},
	}})
	defer server.Close()

	for _, to := range []string{"desconocido@x.es", "lleno@x.es", "lista-gris@x.es", "lista-gris@x.es"} {
		err := smtp.SendMail(server.Addr(), nil, "ana@example.com", []string{to}, []byte("Subject: Hola\r\n\r\n"))
		fmt.Printf("%s: %v\n", to, err)
	}
	for _, m := range server.Messages() {
		fmt.Printf("%s %q\n", m.To[0].Addr, m.Data)
	}
	// Output:
	// desconocido@x.es: 550 "5.1.1 El usuario no existe"
	// lleno@x.es: 552 "5.2.2 Buzón lleno"
	// lista-gris@x.es: 451 "4.7.1 Vuelva a intentarlo"
	// lista-gris@x.es: <nil>
	// lista-gris@x.es "Subject: Hola\r\n\r\n"
}
