package schedule

import "bytes"

// The heaps hold slots, and each entry knows its place, so that a job can be
// moved without a search. Jobs due at the same time go by their IDs: older first.

func (s *Schedule) less(a, b uint32) bool {
	x, y := s.entries.at(a), s.entries.at(b)
	if x.due != y.due {
		return x.due < y.due
	}
	return bytes.Compare(x.id[:], y.id[:]) < 0
}

func (s *Schedule) push(f *flow, slot uint32) {
	f.heap = append(f.heap, slot)
	s.up(f, len(f.heap)-1)
}

func (s *Schedule) remove(f *flow, slot uint32) {
	e := s.entries.at(slot)
	pos, last := int(e.pos), len(f.heap)-1
	e.pos = outside
	moved := f.heap[last]
	f.heap = f.heap[:last]
	if pos < last {
		s.place(f, pos, moved)
		s.fix(f, pos)
	}
}

// reschedule moves a slot that is in the heap to another due time.
func (s *Schedule) reschedule(f *flow, slot uint32, due int64) {
	e := s.entries.at(slot)
	e.due = due
	s.fix(f, int(e.pos))
}

func (s *Schedule) fix(f *flow, pos int) {
	if !s.down(f, pos) {
		s.up(f, pos)
	}
}

func (s *Schedule) place(f *flow, pos int, slot uint32) {
	f.heap[pos] = slot
	s.entries.at(slot).pos = int32(pos)
}

func (s *Schedule) up(f *flow, pos int) {
	slot := f.heap[pos]
	for pos > 0 {
		parent := (pos - 1) / 2
		if !s.less(slot, f.heap[parent]) {
			break
		}
		s.place(f, pos, f.heap[parent])
		pos = parent
	}
	s.place(f, pos, slot)
}

func (s *Schedule) down(f *flow, pos int) (moved bool) {
	slot := f.heap[pos]
	for {
		child := 2*pos + 1
		if child >= len(f.heap) {
			break
		}
		if right := child + 1; right < len(f.heap) && s.less(f.heap[right], f.heap[child]) {
			child = right
		}
		if !s.less(f.heap[child], slot) {
			break
		}
		s.place(f, pos, f.heap[child])
		pos, moved = child, true
	}
	s.place(f, pos, slot)
	return moved
}
