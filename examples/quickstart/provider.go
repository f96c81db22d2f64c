package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/franqueo/franqueo/smtp/smtptest"
)

// provider is the receiving side: a real SMTP server in this process, and its
// record of what arrived, which outlives the process.
type provider struct {
	*smtptest.Server
	record  *os.File // a line for each mail: address and size
	mailbox string   // the mail of those who read it, by address

	mu      sync.Mutex // guards readers
	readers []string   // addresses whose mail was kept
}

// maxReaders is how many recipients' mail is kept to be read.
const maxReaders = 8

// openProvider starts a server that keeps its record beside the database.
func openProvider(database string) (*provider, error) {
	p := &provider{mailbox: database + ".mailbox"}
	if err := os.MkdirAll(p.mailbox, 0o755); err != nil {
		return nil, err
	}
	var err error
	if p.record, err = os.OpenFile(recordPath(database), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	kept, err := os.ReadDir(p.mailbox)
	if err != nil {
		return nil, err
	}
	for _, entry := range kept {
		p.readers = append(p.readers, entry.Name())
	}
	p.Server = smtptest.NewServer(&smtptest.Options{
		Hostname: "mx.correo.example",
		Rules: []smtptest.Rule{
			{To: "desconocida*@*", Reply: "550 5.1.1 El usuario no existe / User unknown"},
			{To: "llena*@*", Reply: "552 5.2.2 Mailbox full, over quota"},
			{To: "gris*@*", Times: 1, Reply: "451 4.7.1 Greylisted, please try again in 1 seconds"},
		},
		Receive: p.receive,
	})
	return p, nil
}

func (p *provider) close() {
	p.Server.Close()
	_ = p.record.Close()
}

// receive writes a mail down before the client learns that it was accepted.
func (p *provider) receive(m *smtptest.Message) {
	for _, r := range m.To {
		if p.keep(r.Addr) {
			path := filepath.Join(p.mailbox, r.Addr)
			if err := os.WriteFile(path, m.Data, 0o644); err != nil {
				panic(err) // a record with holes proves nothing
			}
		}
		if _, err := fmt.Fprintf(p.record, "%s %d\n", r.Addr, len(m.Data)); err != nil {
			panic(err)
		}
	}
}

func (p *provider) keep(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.readers) == maxReaders {
		return false
	}
	p.readers = append(p.readers, address)
	return true
}

func recordPath(database string) string { return database + ".received.txt" }

// countReceived reads the record: how many addresses got mail, and how many of the
// mails were repetitions.
func countReceived(database string) (addresses map[string]int, err error) {
	text, err := os.ReadFile(recordPath(database))
	if err != nil {
		return nil, err
	}
	addresses = map[string]int{}
	for line := range bytes.Lines(text) {
		address, _, _ := bytes.Cut(line, []byte(" "))
		addresses[string(address)]++
	}
	return addresses, nil
}
