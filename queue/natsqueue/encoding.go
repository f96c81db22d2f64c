package natsqueue

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// Everything stored is written by the append functions: numbers as varints, times
// as Unix milliseconds, texts and lists with their length before them.

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFlow(b []byte, f queue.Flow) []byte {
	b = append(appendText(b, f.Lane), byte(f.Priority))
	return appendText(appendText(b, f.Tenant), f.Campaign)
}

func appendTags(b []byte, tags []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for _, t := range tags {
		b = appendText(b, t)
	}
	return b
}

func appendMeta(b []byte, meta map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(meta)))
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		b = appendText(appendText(b, k), meta[k])
	}
	return b
}

// decoder reads what the append functions wrote. After a fault it reads nothing but
// zeros, and keeps the fault. What it returns as bytes lies in what it reads.
type decoder struct {
	b   []byte
	err error
}

// fail notes the first fault.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", queue.ErrCorrupt, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail("%d bytes of %d are missing", n-len(d.b), n)
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// natural reads a number that must not exceed most.
func (d *decoder) natural(most int) int {
	v := d.uvarint()
	if v > uint64(most) {
		d.fail("number %d exceeds %d", v, most)
		return 0
	}
	return int(v)
}

// count reads the length of a list whose items take at least so many bytes each, so
// that no list is longer than what is there.
func (d *decoder) count(itemSize int) int { return d.natural(len(d.b) / itemSize) }

func (d *decoder) bytes() []byte { return d.take(d.count(1)) }
func (d *decoder) text() string  { return string(d.bytes()) }

func (d *decoder) id() (id tracking.ID) {
	copy(id[:], d.take(len(id)))
	return id
}

func (d *decoder) flow() queue.Flow {
	return queue.Flow{Lane: d.text(), Priority: queue.Priority(d.byte()), Tenant: d.text(), Campaign: d.text()}
}

func (d *decoder) state() queue.State {
	s := queue.State(d.byte())
	if s > queue.Cancelled {
		d.fail("unknown state %d", s)
	}
	return s
}

func (d *decoder) tags() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = d.text()
	}
	return tags
}

func (d *decoder) meta() map[string]string {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	meta := make(map[string]string, n)
	for range n {
		k := d.text()
		meta[k] = d.text()
	}
	return meta
}

// end fails if anything is left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes too many", len(d.b))
	}
	return d.err
}
