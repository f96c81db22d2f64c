package queue

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

// recipientVersion is the first byte of an encoded recipient. A release that
// changes the form writes a greater one and goes on reading this.
//
//	version 1 | date, Unix milliseconds | name | fields | opens | clicks
//
// Numbers are varints, strings a length and bytes; fields a count, then name and
// value of each, by name. What else there is of a recipient stands in the job.
const recipientVersion = 1

// appendRecipient encodes what rendering needs of r beside its ID and address.
func appendRecipient(dst []byte, r *tracking.Recipient) []byte {
	dst = append(dst, recipientVersion)
	dst = binary.AppendVarint(dst, r.Date.UnixMilli())
	dst = appendString(dst, r.To.Name)
	dst = appendMap(dst, r.Fields)
	if r.Policy != nil {
		dst = append(dst, byte(r.Policy.Opens), byte(r.Policy.Clicks))
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendMap(dst []byte, m map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	if len(m) <= 1 {
		for k, v := range m {
			dst = appendString(appendString(dst, k), v)
		}
		return dst
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = appendString(appendString(dst, k), m[k])
	}
	return dst
}

// decodeRecipient is the inverse of appendRecipient. Its errors wrap [ErrCorrupt].
func decodeRecipient(j *Job) (*tracking.Recipient, error) {
	d := decoder{rest: j.Recipient}
	if v := d.byte(); v != recipientVersion {
		return nil, fmt.Errorf("queue: recipient of job %v has version %d, this release reads %d: %w", j.ID, v, recipientVersion, ErrCorrupt)
	}
	r := &tracking.Recipient{
		ID:     j.ID,
		Key:    j.Key,
		Date:   time.UnixMilli(d.varint()).UTC(),
		To:     mail.Address{Name: d.string(), Address: j.Address},
		Fields: d.mapping(),
		Meta:   j.Meta,
	}
	if len(d.rest) > 0 {
		r.Policy = &tracking.Policy{Opens: tracking.Mode(d.byte()), Clicks: tracking.Mode(d.byte())}
	}
	if d.bad || len(d.rest) > 0 {
		return nil, fmt.Errorf("queue: recipient of job %v: %w", j.ID, ErrCorrupt)
	}
	return r, nil
}

// decoder reads the front of rest. After the first fault it yields zeros, and bad
// is set.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) count() int {
	v, n := binary.Uvarint(d.rest)
	d.skip(n)
	if v > uint64(len(d.rest)) { // each element takes a byte at least
		d.bad = true
		return 0
	}
	return int(v)
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

func (d *decoder) string() string {
	n := d.count()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) mapping() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}
