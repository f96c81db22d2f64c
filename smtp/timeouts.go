package smtp

import (
	"errors"
	"fmt"
	"time"
)

// Timeouts bound each step of a conversation. A zero field means the default,
// which for replies is the minimum of RFC 5321, section 4.5.3.2. The context of
// Send bounds all of them.
type Timeouts struct {
	Connect   time.Duration // dialling; 30 seconds
	TLS       time.Duration // the handshake; 1 minute
	Greeting  time.Duration // the first reply; 5 minutes
	Command   time.Duration // replies to EHLO, AUTH, MAIL, RCPT and RSET; 5 minutes
	Data      time.Duration // the reply to DATA; 2 minutes
	Block     time.Duration // each write, and the reply to each chunk but the last; 3 minutes
	EndOfData time.Duration // the final reply; 10 minutes
	Quit      time.Duration // saying QUIT; 5 seconds

	// Linger is how long Send goes on waiting for the final reply after its
	// context has ended; 30 seconds. A negative value is none.
	Linger time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.TLS, time.Minute},
		{&t.Greeting, 5 * time.Minute},
		{&t.Command, 5 * time.Minute},
		{&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute},
		{&t.EndOfData, 10 * time.Minute},
		{&t.Quit, 5 * time.Second},
		{&t.Linger, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return t
}

func (t *Timeouts) check() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Connect", t.Connect}, {"TLS", t.TLS}, {"Greeting", t.Greeting}, {"Command", t.Command},
		{"Data", t.Data}, {"Block", t.Block}, {"EndOfData", t.EndOfData}, {"Quit", t.Quit},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("option Timeouts.%s %v: negative", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}
