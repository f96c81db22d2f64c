package bounce

import (
	"errors"
	"math/bits"
	"slices"
	"strings"
)

// matcher finds many phrases in one pass over a text (Aho and Corasick, with words
// for letters). Numbers do not interrupt a phrase. It is immutable once built.
type matcher struct {
	dictionary table    // the hash of a word: its number
	edges      table    // a state and the number of a word: the next state
	roots      []uint32 // the same from the first state, where most words lead nowhere
	states     []state
	slots      []uint16 // of all states
}

// state is the longest beginning of a phrase that the last words are.
type state struct {
	fail         uint32 // the longest beginning that is shorter
	first, count uint32 // the slots of the phrases that end here, those of fail included
	depth        uint32 // in words
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
		for _, slot := range m.ending(at) {
			into.add(slot)
		}
	}
}

// ending is the slots of the phrases that end in a state.
func (m *matcher) ending(at uint32) []uint16 {
	s := &m.states[at]
	return m.slots[s.first : s.first+s.count]
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
	for at != 0 && id != 0 {
		if to := m.edges.find(edge(at, id)); to != 0 {
			return to
		}
		at = m.states[at].fail
	}
	return m.roots[id]
}

// excerpts are the parts of text in which the phrases of a slot were found.
func (m *matcher) excerpts(text string, slot uint16) (parts []string) {
	w := newWords(text)
	at := uint32(0)
	var starts []int
	for x, ok := w.next(); ok; x, ok = w.next() {
		from := at
		at = m.step(at, x)
		if at == from && (x.number || m.dictionary.find(x.hash) == skipped) {
			continue
		}
		starts = append(starts, x.start)
		if d := m.depth(at, slot); d > 0 && d <= len(starts) {
			parts = append(parts, text[starts[len(starts)-d]:x.end])
		}
	}
	return parts
}

// depth is how many words the phrase of slot has that ends in a state; 0 if none
// does.
func (m *matcher) depth(at uint32, slot uint16) (d int) {
	for ; at != 0 && slices.Contains(m.ending(at), slot); at = m.states[at].fail {
		d = int(m.states[at].depth)
	}
	return d
}

// phrases collects what a matcher will find.
type phrases struct {
	dictionary map[uint64]uint32
	edges      map[uint64]uint32 // by edge
	order      [][2]uint32       // the edges, as they came: a state and the number of a word
	states     []state
	slots      [][]uint16 // of each state
	numeric    map[uint32]bool
}

// skipped is the number of the words that are passed over.
const skipped = 1

// newPhrases returns phrases with room for about n edges.
func newPhrases(n int) *phrases {
	p := &phrases{
		dictionary: map[uint64]uint32{},
		edges:      make(map[uint64]uint32, n),
		states:     make([]state, 1, n+1),
		slots:      make([][]uint16, 1, n+1),
		numeric:    map[uint32]bool{},
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

func (p *phrases) number(hash uint64) uint32 {
	id, ok := p.dictionary[hash]
	if !ok {
		id = uint32(len(p.dictionary) + 1)
		p.dictionary[hash] = id
	}
	return id
}

// errPhrase reports a phrase that could not be found, or everywhere.
var errPhrase = errors.New("every part must begin with a word that says something, and is no number")

// add makes the matcher report slot where it finds a phrase: groups of words, one
// of which stands at each place.
func (p *phrases) add(groups [][]string, slot uint16) error {
	places := make([][][]uint32, len(groups))
	for i, group := range groups {
		for _, text := range group {
			places[i] = append(places[i], p.numbers(text))
		}
	}
	return p.addFrom(0, places, slot)
}

// numbers are those of the words of a text that count.
func (p *phrases) numbers(text string) (ids []uint32) {
	w := newWords(text)
	for x, ok := w.next(); ok; x, ok = w.next() {
		if id := p.number(x.hash); id != skipped {
			ids = append(ids, id)
			p.numeric[id] = x.number
		}
	}
	return ids
}

// addFrom adds what is left of a phrase.
func (p *phrases) addFrom(at uint32, places [][][]uint32, slot uint16) error {
	if len(places) == 0 {
		if at == 0 {
			return errPhrase
		}
		if !slices.Contains(p.slots[at], slot) {
			p.slots[at] = append(p.slots[at], slot)
		}
		return nil
	}
	for _, ids := range places[0] {
		to := at
		for _, id := range ids {
			if to == 0 && p.numeric[id] {
				return errPhrase
			}
			to = p.child(to, id)
		}
		if err := p.addFrom(to, places[1:], slot); err != nil {
			return err
		}
	}
	return nil
}

func (p *phrases) child(at, id uint32) uint32 {
	key := edge(at, id)
	to, ok := p.edges[key]
	if !ok {
		to = uint32(len(p.states))
		p.states = append(p.states, state{depth: p.states[at].depth + 1})
		p.slots = append(p.slots, nil)
		p.edges[key] = to
		p.order = append(p.order, [2]uint32{at, id})
	}
	return to
}

// fit reports whether the numbers of words and states fit into their bits.
func (p *phrases) fit() bool {
	return len(p.dictionary) < 1<<wordBits && len(p.states) < 1<<numberBits
}

// matcher links each state to the one to fall back to, and packs the tables.
func (p *phrases) matcher() *matcher {
	m := &matcher{
		dictionary: newTable(len(p.dictionary)),
		edges:      newTable(len(p.edges)),
		roots:      make([]uint32, len(p.dictionary)+1),
		states:     p.states,
	}
	for hash, id := range p.dictionary {
		m.dictionary.set(hash, id)
	}
	for _, key := range p.order {
		k := edge(key[0], key[1])
		m.edges.set(k, p.edges[k])
		if key[0] == 0 {
			m.roots[key[1]] = p.edges[k]
		}
	}
	for depth := uint32(1); p.link(m, depth); depth++ {
	}
	return m
}

// link finishes the states of a depth; those that are less deep are finished. It is
// false if there are none.
func (p *phrases) link(m *matcher, depth uint32) (any bool) {
	for _, key := range p.order {
		if m.states[key[0]].depth+1 != depth {
			continue
		}
		any = true
		to := p.edges[edge(key[0], key[1])]
		s := &m.states[to]
		s.fail = p.fallBack(key)
		s.first = uint32(len(m.slots))
		m.slots = append(m.slots, p.slots[to]...)
		for _, slot := range m.ending(s.fail) {
			if !slices.Contains(p.slots[to], slot) {
				m.slots = append(m.slots, slot)
			}
		}
		s.count = uint32(len(m.slots)) - s.first
	}
	return any
}

// fallBack is the longest state that ends in the same words as that at an edge.
func (p *phrases) fallBack(key [2]uint32) uint32 {
	for at := key[0]; at != 0; {
		at = p.states[at].fail
		if to, ok := p.edges[edge(at, key[1])]; ok {
			return to
		}
	}
	return 0
}

// table is a hash table of numbers, at most a third full. What it does not hold is
// 0. A slot holds a key and, in its lower bits, the number.
type table struct {
	slots []uint64
	shift int
}

const (
	numberBits = 24
	keyBits    = 64 - numberBits
	wordBits   = keyBits - numberBits // of the number of a word in the key of an edge
)

func newTable(n int) table {
	size := bits.Len(uint(3*n + 1))
	return table{slots: make([]uint64, 1<<size), shift: 64 - size}
}

// find is the number of a key, of which the lower bits count.
func (t *table) find(key uint64) uint32 {
	key &= 1<<keyBits - 1
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i++ {
		slot := t.slots[i&uint64(len(t.slots)-1)]
		if slot>>numberBits == key || slot == 0 {
			return uint32(slot & (1<<numberBits - 1))
		}
	}
}

func (t *table) set(key uint64, number uint32) {
	key &= 1<<keyBits - 1
	i := key * 0x9e3779b97f4a7c15 >> t.shift
	for t.slots[i&uint64(len(t.slots)-1)] != 0 {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)] = key<<numberBits | uint64(number)
}

// edge is the key of an edge.
func edge(at, word uint32) uint64 { return uint64(at)<<wordBits | uint64(word) }
