package tracking

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ID names one mail: one message to one recipient. It is a UUIDv7 (RFC 9562,
// section 5.7): its first 48 bits are the Unix time in milliseconds, so that IDs
// sort by age, are close together in an index, and tell the handler how long
// after queueing a hit came, without a look-up. The zero ID names nothing.
//
// The same ID is the queue's job, the core of the Message-ID, the content of
// every token, and the Message of every [Event].
type ID [16]byte

// ErrBadID is wrapped by the errors of [ParseID].
var ErrBadID = errors.New("not a UUID")

// clock makes IDs of one process strictly ascending.
var clock struct {
	mu   sync.Mutex // guards last
	last uint64     // milliseconds<<12 | counter of the newest ID
}

// NewID returns an ID for now. IDs made by one process ascend strictly, also
// within a millisecond (RFC 9562, section 6.2, method 1). It is safe for
// concurrent use.
func NewID() ID { return newID(time.Now()) }

func newID(now time.Time) ID {
	var id ID
	_, _ = rand.Read(id[8:]) // never fails
	clock.mu.Lock()
	next := uint64(now.UnixMilli()) << 12
	if next <= clock.last {
		next = clock.last + 1
	}
	clock.last = next
	clock.mu.Unlock()
	ms := next >> 12
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = 0x70 | byte(next>>8)&0x0f
	id[7] = byte(next)
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// ParseID reads the form that [ID.String] writes, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("tracking: ID %q: %w", s, ErrBadID)
	}
	plain := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(plain)); err != nil {
		return ID{}, fmt.Errorf("tracking: ID %q: %w", s, ErrBadID)
	}
	return id, nil
}

// Time is when the ID was made, to the millisecond, in UTC.
func (id ID) Time() time.Time {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String is the usual form, 36 characters of lower-case hex with hyphens.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText and UnmarshalText use the form of String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the form of String.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// EventID returns the ID of an event: always the same for the same type, message
// and parts, which say what tells this event from others of its type, such as the
// number of the attempt, or the Message-ID of the mail that reported it. The time
// of the message comes first, so that the events of a mail are close together in
// an index. (UUIDv8: RFC 9562, section 5.8.)
func EventID(t Type, message ID, parts ...string) ID {
	b := append(make([]byte, 0, 256), message[:]...)
	b = appendPart(b, string(t))
	for _, part := range parts {
		b = appendPart(b, part)
	}
	sum := sha256.Sum256(b)
	return eventID(message, ID(sum[:16]))
}

// eventID makes a hash an event's ID.
func eventID(message, hash ID) ID {
	copy(hash[:6], message[:6])
	hash[6] = 0x80 | hash[6]&0x0f
	hash[8] = 0x80 | hash[8]&0x3f
	return hash
}

// appendPart appends a part and its length, so that no two lists of parts are alike.
func appendPart(b []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
}
