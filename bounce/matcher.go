package bounce

import (
	"math/bits"
	"slices"
	"strings"
)

// matcher finds many phrases in one pass over a text (Aho and Corasick, with words
// for letters). Numbers do not interrupt a phrase. It is immutable once built.
type matcher struct {
	dictionary table // the hash of a word: its number
	edges      table // a state and the number of a word: the next state
	states     []state
}

// state is the longest beginning of a phrase that the last words are.
type state struct {
	slots []uint16 // of the phrases that end here, those of fail included
	fail  uint32   // the longest beginning that is shorter
	depth int      // in words
}

// maxSlots bounds the phrases that rules tell apart.
const maxSlots = 1 << 12

// found is a set of slots.
type found [maxSlots / 64]uint64

func (f *found) has(slot uint16) bool { return f[slot/64]&(1<<(slot%64)) != 0 }
func (f *found) add(slot uint16)      { f[slot/64] |= 1 << (slot % 64) }

// all yields the slots below n, in order.
func (f *found) all(n int) func(yield func(uint16) bool) {
	return func(yield func(uint16) bool) {
		for i, w := range f[:(n+63)/64] {
			for ; w != 0; w &= w - 1 {
				if !yield(uint16(i*64 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// scan finds the slots of the phrases in text.
func (m *matcher) scan(text string, into *found) {
	w := newWords(text)
	at := uint32(0)
	for x, ok := w.next(); ok; x, ok = w.next() {
		at = m.step(at, x)
		for _, slot := range m.states[at].slots {
			into.add(slot)
		}
	}
}

// step is the state after one more word.
func (m *matcher) step(at uint32, x word) uint32 {
	id := m.dictionary.find(x.hash)
	if id == skipped {
		return at
	}
	if x.number {
		if to := m.edges.find(edge(at, id)); to != 0 {
			return to
		}
		return at
	}
	for id != 0 {
		if to := m.edges.find(edge(at, id)); to != 0 {
			return to
		}
		if at == 0 {
			break
		}
		at = m.states[at].fail
	}
	return 0
}

// excerpts are the parts of text in which the phrases of a slot were found.
func (m *matcher) excerpts(text string, slot uint16) (parts []string) {
	w := newWords(text)
	at := uint32(0)
	var starts []int
	for x, ok := w.next(); ok; x, ok = w.next() {
		from := at
		at = m.step(at, x)
		if at != from || !x.number && m.dictionary.find(x.hash) != skipped {
			starts = append(starts, x.start)
		}
		if d := m.depth(at, slot); d > 0 && d <= len(starts) {
			parts = append(parts, text[starts[len(starts)-d]:x.end])
		}
	}
	return parts
}

// depth is how many words the phrase of slot has that ends in a state; 0 if none
// does.
func (m *matcher) depth(at uint32, slot uint16) (d int) {
	for ; at != 0 && slices.Contains(m.states[at].slots, slot); at = m.states[at].fail {
		d = m.states[at].depth
	}
	return d
}

// phrases collects what a matcher will find.
type phrases struct {
	dictionary map[uint64]uint32
	edges      map[[2]uint32]uint32
	order      [][2]uint32 // the keys of edges, as they came
	states     []state
}

// skipped is the number of the words that are passed over.
const skipped = 1

func newPhrases() *phrases {
	p := &phrases{
		dictionary: map[uint64]uint32{},
		edges:      map[[2]uint32]uint32{},
		states:     make([]state, 1),
	}
	p.same(passedOver)
	for line := range strings.Lines(sameWords) {
		p.same(line)
	}
	return p
}

// same gives all words of a line the number of the first.
func (p *phrases) same(line string) {
	w := newWords(line)
	first, ok := w.next()
	if !ok {
		return
	}
	id := p.number(first.hash)
	for x, ok := w.next(); ok; x, ok = w.next() {
		p.dictionary[x.hash] = id
	}
}

// add makes the matcher report slot where it finds phrase.
func (p *phrases) add(phrase string, slot uint16) {
	w := newWords(phrase)
	at := uint32(0)
	for x, ok := w.next(); ok; x, ok = w.next() {
		if id := p.number(x.hash); id != skipped {
			at = p.child(at, id)
		}
	}
	if s := &p.states[at]; !slices.Contains(s.slots, slot) {
		s.slots = append(s.slots, slot)
	}
}

func (p *phrases) number(hash uint64) uint32 {
	id, ok := p.dictionary[hash]
	if !ok {
		id = uint32(len(p.dictionary) + 1)
		p.dictionary[hash] = id
	}
	return id
}

func (p *phrases) child(at, id uint32) uint32 {
	key := [2]uint32{at, id}
	to, ok := p.edges[key]
	if !ok {
		to = uint32(len(p.states))
		p.states = append(p.states, state{depth: p.states[at].depth + 1})
		p.edges[key] = to
		p.order = append(p.order, key)
	}
	return to
}

// matcher links each state to the one to fall back to, and packs the tables.
func (p *phrases) matcher() *matcher {
	slices.SortStableFunc(p.order, func(a, b [2]uint32) int {
		return p.states[a[0]].depth - p.states[b[0]].depth
	})
	m := &matcher{
		dictionary: newTable(len(p.dictionary)),
		edges:      newTable(len(p.edges)),
		states:     p.states,
	}
	for hash, id := range p.dictionary {
		m.dictionary.set(hash, id)
	}
	for _, key := range p.order {
		to := p.edges[key]
		m.edges.set(edge(key[0], key[1]), to)
		s := &m.states[to]
		s.fail = p.fallBack(key)
		for _, slot := range m.states[s.fail].slots {
			if !slices.Contains(s.slots, slot) {
				s.slots = append(s.slots, slot)
			}
		}
	}
	return m
}

func (p *phrases) fallBack(key [2]uint32) uint32 {
	for at := key[0]; at != 0; {
		at = p.states[at].fail
		if to, ok := p.edges[[2]uint32{at, key[1]}]; ok {
			return to
		}
	}
	return 0
}

// table is a hash table of numbers, at most half full. What it does not hold is 0.
type table struct {
	keys   []uint64
	values []uint32
	shift  int
}

func newTable(n int) table {
	size := bits.Len(uint(2*n + 1))
	return table{keys: make([]uint64, 1<<size), values: make([]uint32, 1<<size), shift: 64 - size}
}

func (t *table) find(key uint64) uint32 {
	for i := key >> t.shift; ; i++ {
		i &= uint64(len(t.keys) - 1)
		if t.keys[i] == key || t.values[i] == 0 {
			return t.values[i]
		}
	}
}

func (t *table) set(key uint64, value uint32) {
	i := key >> t.shift
	for t.values[i] != 0 {
		i = (i + 1) & uint64(len(t.keys)-1)
	}
	t.keys[i], t.values[i] = key, value
}

// edge is the key of an edge; the product is one to one.
func edge(at, word uint32) uint64 {
	return (uint64(at)<<32 | uint64(word)) * 0x9e3779b97f4a7c15
}
