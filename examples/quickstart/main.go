// Quickstart does what franqueo is for, with nothing configured: it sends a
// newsletter to 1,000 recipients through a durable queue, tracks it, and tells
// what became of each.
//
//	go run ./examples/quickstart
//
// No mail leaves the machine: a server in this process takes it and answers as
// real providers do. Some recipients are unknown, some over quota, some greylisted
// at first. A few read their mail: the program fetches pixels and links over HTTP
// as a mail client would, and unsubscribes one.
//
// Kill it in the middle and start it again: it goes on where it was.
//
// With SMTP_URL set it sends one mail instead, to the address given:
//
//	SMTP_URL=smtps://user:password@mail.example.com go run ./examples/quickstart ana@example.com
package main

import (
	"context"
	"embed"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/mail"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/franqueo/franqueo/tracking"
)

//go:embed boletin
var boletin embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv("SMTP_URL"), os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// settings are the program's flags and arguments.
type settings struct {
	database   string
	html       string // the newsletter
	recipients []tracking.Recipient
	relay      string // SMTP_URL
	to         string // with relay
}

// run is main without the process around it.
func run(ctx context.Context, args []string, relay string, out io.Writer) error {
	s, err := parse(args, relay, out)
	if err != nil {
		return err
	}
	if s.relay != "" {
		return sendOne(ctx, s, out)
	}
	return sendNewsletter(ctx, s, out)
}

func parse(args []string, relay string, out io.Writer) (*settings, error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	database := flags.String("db", filepath.Join(os.TempDir(), "franqueo-quickstart", "mail.db"), "the queue's `file`")
	html := flags.String("html", "", "an HTML `file` to send instead of the newsletter; its fields are nombre and calle, or the columns of -to")
	to := flags.String("to", "", "a CSV `file` of recipients: a header with a column email, and one for each field")
	count := flags.Int("n", 1000, "how many recipients to make up")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	s := &settings{database: *database, relay: relay}
	var err error
	if s.html, err = readHTML(*html); err != nil {
		return nil, err
	}
	switch {
	case relay != "" && flags.NArg() != 1:
		return nil, errors.New("SMTP_URL is set: give the address to send one mail to, as the only argument")
	case relay != "":
		s.to = flags.Arg(0)
	case flags.NArg() > 0:
		return nil, fmt.Errorf("argument %q: addresses are for sending through a relay; set SMTP_URL", flags.Arg(0))
	case *count < 1:
		return nil, fmt.Errorf("-n %d: give at least 1", *count)
	case *to != "":
		s.recipients, err = readRecipients(*to)
	default:
		s.recipients = makeRecipients(*count)
	}
	return s, err
}

func readHTML(path string) (string, error) {
	if path == "" {
		html, err := boletin.ReadFile("boletin/boletin.html")
		return string(html), err
	}
	html, err := os.ReadFile(path)
	return string(html), err
}

// readRecipients reads a CSV file. The key makes a row one mail, however often the
// program is started.
func readRecipients(path string) ([]tracking.Recipient, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 || rows[0][0] != "email" {
		return nil, fmt.Errorf("%s: the first line must name the columns, email first, and recipients must follow", path)
	}
	recipients := make([]tracking.Recipient, 0, len(rows)-1)
	for _, row := range rows[1:] {
		fields := map[string]string{}
		for i, name := range rows[0][1:] {
			fields[name] = row[i+1]
		}
		recipients = append(recipients, newRecipient(row[0], fields))
	}
	return recipients, nil
}

func newRecipient(address string, fields map[string]string) tracking.Recipient {
	return tracking.Recipient{
		To:     mail.Address{Name: fields["nombre"], Address: address},
		Fields: fields,
		Key:    "boletin-42/" + strings.ToLower(address),
	}
}

// makeRecipients invents people. What comes before the number tells how their
// provider will answer: see provider.go.
func makeRecipients(n int) []tracking.Recipient {
	names := []string{"Ana", "Íñigo", "Lucía", "Begoña", "Martín", "Nuria", "Óscar", "Pilar"}
	streets := []string{"Mayor", "del Olmo", "Peñuelas", "de la Cruz & Cía", "Núñez de Balboa"}
	domains := []string{"correo.example", "buzon.example", "cartas.example", "posta.example", "mensajes.example"}
	recipients := make([]tracking.Recipient, n)
	for i := range recipients {
		kind := "persona"
		switch {
		case i%50 == 7:
			kind = "desconocida"
		case i%50 == 21:
			kind = "llena"
		case i%25 == 13:
			kind = "gris"
		}
		recipients[i] = newRecipient(fmt.Sprintf("%s%d@%s", kind, i, domains[i%len(domains)]), map[string]string{
			"nombre": names[i%len(names)],
			"calle":  streets[i%len(streets)],
		})
	}
	return recipients
}
