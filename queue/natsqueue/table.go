package natsqueue

import (
	"bytes"
	"slices"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// record is what the state knows of a job that is kept. Its body, which is the rest,
// lies in the stream.
type record struct {
	id    tracking.ID
	place uint64 // of the body
	due   int64  // Unix milliseconds; while leased, as before
	last  string
	// flow and template are numbers in the state, address is a hash of the address.
	flow, template, address uint32
	attempts                uint16
	state                   queue.State
}

const maxAttempts = 1<<16 - 1

// placeOf is the place of the job of this ordinal in a message, or of a template's
// chunk in its command.
func placeOf(sequence uint64, ordinal int) uint64 { return sequence<<16 | uint64(ordinal) }

func sequenceOf(place uint64) uint64 { return place >> 16 }
func ordinalOf(place uint64) int     { return int(place & maxOrdinal) }

const maxOrdinal = 1<<16 - 1

const pageSize = 4096

// table keeps records in pages, so that growing copies none.
type table struct {
	pages []*[pageSize]record
	used  uint32
	spare []uint32
	slots map[tracking.ID]uint32
	// order lists the slots, the first of them by ID. IDs ascend but for those that
	// processes make at the same time, so it takes little to sort the others.
	order  []uint32
	sorted int
}

func newTable() table { return table{slots: map[tracking.ID]uint32{}} }

func (t *table) at(slot uint32) *record { return &t.pages[slot/pageSize][slot%pageSize] }

func (t *table) len() int { return len(t.order) }

// find returns the record of an ID, or nil. It is good until the table changes.
func (t *table) find(id tracking.ID) *record {
	if slot, ok := t.slots[id]; ok {
		return t.at(slot)
	}
	return nil
}

// add takes in a record whose ID is not known.
func (t *table) add(r record) {
	slot := t.used
	if n := len(t.spare); n > 0 {
		slot, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		if int(slot/pageSize) == len(t.pages) {
			t.pages = append(t.pages, new([pageSize]record))
		}
		t.used++
	}
	*t.at(slot) = r
	t.slots[r.id] = slot
	t.order = append(t.order, slot)
}

// dropLast takes back the last n that were added, if order was not sorted since.
func (t *table) dropLast(n int) {
	keep := len(t.order) - n
	for _, slot := range t.order[keep:] {
		t.free(slot)
	}
	t.order = t.order[:keep]
}

func (t *table) free(slot uint32) {
	delete(t.slots, t.at(slot).id)
	*t.at(slot) = record{}
	t.spare = append(t.spare, slot)
}

// drop forgets the records for which gone returns true.
func (t *table) drop(gone func(*record) bool) {
	t.sort()
	t.order = slices.DeleteFunc(t.order, func(slot uint32) bool {
		if !gone(t.at(slot)) {
			return false
		}
		t.free(slot)
		return true
	})
	t.sorted = len(t.order)
}

func (t *table) byID(a, b uint32) int { return compare(t.at(a).id, t.at(b).id) }

func compare(a, b tracking.ID) int { return bytes.Compare(a[:], b[:]) }

func (t *table) sort() {
	if t.sorted < len(t.order) {
		slices.SortFunc(t.order, t.byID)
		t.sorted = len(t.order)
	}
}

// after yields the records whose IDs are greater than this one, by ID, until yield
// returns false.
func (t *table) after(id tracking.ID, yield func(*record) bool) {
	t.sort()
	at, found := slices.BinarySearchFunc(t.order, id, func(slot uint32, id tracking.ID) int { return compare(t.at(slot).id, id) })
	if found {
		at++
	}
	for _, slot := range t.order[at:] {
		if !yield(t.at(slot)) {
			return
		}
	}
}

// each yields the records of these IDs, or all if there are none, in any order but
// none twice, until yield returns false.
func (t *table) each(ids []tracking.ID, yield func(*record) bool) {
	if len(ids) == 0 {
		for _, slot := range t.order {
			if !yield(t.at(slot)) {
				return
			}
		}
		return
	}
	for _, id := range ids {
		if r := t.find(id); r != nil && !yield(r) {
			return
		}
	}
}

// names gives numbers to what many records have in common, and counts those.
type names[K comparable] struct {
	numbers map[K]uint32
	keys    []K
	users   []int
	spare   []uint32
}

func newNames[K comparable]() names[K] { return names[K]{numbers: map[K]uint32{}} }

// use returns the number of a key, and counts a user.
func (n *names[K]) use(key K) uint32 {
	number, ok := n.numbers[key]
	switch {
	case ok:
	case len(n.spare) > 0:
		number, n.spare = n.spare[len(n.spare)-1], n.spare[:len(n.spare)-1]
		n.keys[number] = key
	default:
		number = uint32(len(n.keys))
		n.keys, n.users = append(n.keys, key), append(n.users, 0)
	}
	n.numbers[key] = number
	n.users[number]++
	return number
}

// leave counts a user less, and forgets the key with the last.
func (n *names[K]) leave(number uint32) {
	if n.users[number]--; n.users[number] == 0 {
		delete(n.numbers, n.keys[number])
		n.keys[number] = *new(K)
		n.spare = append(n.spare, number)
	}
}
