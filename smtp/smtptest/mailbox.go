package smtptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Mailbox holds messages for a test to look at. It is part of [Server] and
// [Recorder], and safe for concurrent use.
type Mailbox struct {
	mu       sync.Mutex
	messages []*Message    // guarded by mu
	count    int           // guarded by mu; also those that are not kept
	arrived  chan struct{} // guarded by mu; closed at the next arrival; nil if nobody waits
}

// add counts a message, and keeps it unless it is nil.
func (b *Mailbox) add(m *Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if m != nil {
		b.messages = append(b.messages, m)
	}
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
}

// Messages are the messages so far, oldest first.
func (b *Mailbox) Messages() []*Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// Len is how many messages there have been, also where they are not kept.
func (b *Mailbox) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Wait blocks until there have been n messages, and gives those that are kept.
// It fails when ctx ends first.
func (b *Mailbox) Wait(ctx context.Context, n int) ([]*Message, error) {
	for {
		messages, arrived := b.atLeast(n)
		if arrived == nil {
			return messages, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("smtptest: %d of %d messages arrived", b.Len(), n), context.Cause(ctx))
		}
	}
}

// atLeast gives the messages if there have been n, and else what to wait for.
func (b *Mailbox) atLeast(n int) ([]*Message, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count >= n {
		return slices.Clone(b.messages), nil
	}
	if b.arrived == nil {
		b.arrived = make(chan struct{})
	}
	return nil, b.arrived
}

// One is the only message that matches all of the given. The test ends if there
// is none or another.
func (b *Mailbox) One(t TB, matches ...Match) *Message {
	t.Helper()
	found := b.find(matches)
	if len(found) != 1 {
		t.Fatalf("want 1 message that matches, got %d; all messages:\n%s", len(found), b)
		return nil
	}
	return found[0]
}

// None ends the test if a message matches all of the given.
func (b *Mailbox) None(t TB, matches ...Match) {
	t.Helper()
	if found := b.find(matches); len(found) > 0 {
		t.Fatalf("want no message that matches, got %d; all messages:\n%s", len(found), b)
	}
}

func (b *Mailbox) find(matches []Match) []*Message {
	return slices.DeleteFunc(b.Messages(), func(m *Message) bool {
		return slices.ContainsFunc(matches, func(match Match) bool { return !match(m) })
	})
}

// String lists the messages, a line for each.
func (b *Mailbox) String() string {
	var list strings.Builder
	for _, m := range b.Messages() {
		var to []string
		for _, rcpt := range m.To {
			to = append(to, rcpt.Addr)
		}
		fmt.Fprintf(&list, "%s -> %s: %s\n", m.From, strings.Join(to, ", "), m.Header("Subject"))
	}
	return list.String()
}
