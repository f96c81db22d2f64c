package schedule

import (
	"encoding/binary"
	"math/bits"

	"github.com/franqueo/franqueo/tracking"
)

// entry is one job. It has no pointers, so that the collector does not look at a
// million of them.
type entry struct {
	id   tracking.ID
	due  int64  // Unix milliseconds; the end of the lease while leased
	flow uint32 // its number
	pos  int32  // place in the flow's heap, or outside
}

// outside is the place of an entry that is in no heap: it is held.
const outside = -1

const pageSize = 4096

// slab keeps entries in pages, so that growing copies none.
type slab struct {
	pages []*[pageSize]entry
	used  uint32
	spare []uint32
}

func (s *slab) at(slot uint32) *entry { return &s.pages[slot/pageSize][slot%pageSize] }

func (s *slab) add(e entry) uint32 {
	slot := s.used
	if n := len(s.spare); n > 0 {
		slot, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		if int(slot/pageSize) == len(s.pages) {
			s.pages = append(s.pages, new([pageSize]entry))
		}
		s.used++
	}
	*s.at(slot) = e
	return slot
}

func (s *slab) free(slot uint32) {
	*s.at(slot) = entry{}
	s.spare = append(s.spare, slot)
}

// index finds the slot of an ID: a hash table with linear probing that stores
// only slots, and looks the IDs up in the slab. A Go map would take five times
// the space.
type index struct {
	table []uint32 // slot+1; 0 is free; the length is a power of two
	len   int
}

func (x *index) home(id tracking.ID) uint32 {
	hi, lo := bits.Mul64(
		binary.LittleEndian.Uint64(id[:8])^0x9e3779b97f4a7c15,
		binary.LittleEndian.Uint64(id[8:])^0xc2b2ae3d27d4eb4f,
	)
	return uint32(hi^lo) & uint32(len(x.table)-1)
}

// place is where id is, or where it would go.
func (x *index) place(s *slab, id tracking.ID) uint32 {
	i := x.home(id)
	for x.table[i] != 0 && s.at(x.table[i]-1).id != id {
		i = (i + 1) & uint32(len(x.table)-1)
	}
	return i
}

func (x *index) find(s *slab, id tracking.ID) (uint32, bool) {
	if x.len == 0 {
		return 0, false
	}
	slot := x.table[x.place(s, id)]
	return slot - 1, slot != 0
}

func (x *index) add(s *slab, slot uint32) {
	if 4*(x.len+1) > 3*len(x.table) {
		x.grow(s)
	}
	x.table[x.place(s, s.at(slot).id)] = slot + 1
	x.len++
}

func (x *index) grow(s *slab) {
	old := x.table
	x.table = make([]uint32, max(64, 2*len(old)))
	for _, slot := range old {
		if slot != 0 {
			x.table[x.place(s, s.at(slot-1).id)] = slot
		}
	}
}

// remove closes the gap that it leaves, so that no probe ends early.
func (x *index) remove(s *slab, id tracking.ID) {
	mask := uint32(len(x.table) - 1)
	gap := x.place(s, id)
	x.table[gap] = 0
	x.len--
	for i := (gap + 1) & mask; x.table[i] != 0; i = (i + 1) & mask {
		home := x.home(s.at(x.table[i] - 1).id)
		if (i-home)&mask >= (i-gap)&mask {
			x.table[gap], x.table[i] = x.table[i], 0
			gap = i
		}
	}
}
