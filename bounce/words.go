package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// words reads a text as words, so that a phrase is found whatever stands between
// its words: punctuation, line ends, the code that begins each line of a reply.
// Letters are folded to lower case without accents; an apostrophe joins; a letter
// of a script that writes no spaces is a word. Addresses are passed over, because
// people are called "blocked" and "user.unknown".
type words struct {
	text  string
	i     int
	at    int // where the next address begins, and
	after int // where it ends; len(text) if there is none
}

// word is one word of a text: its hash, and whether it is a number.
type word struct {
	hash       uint64
	number     bool
	start, end int
}

func newWords(text string) words {
	w := words{text: text}
	w.findAddress(0)
	return w
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Classes of bytes other than the folded letters and digits.
const (
	separator  = 0
	apostrophe = 1
	wide       = 2 // the first byte of a rune that is not ASCII
)

var folded = foldTable()

func foldTable() (t [256]byte) {
	for c := range t {
		switch {
		case 'A' <= c && c <= 'Z':
			t[c] = byte(c) | 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			t[c] = byte(c)
		case c == '\'', c == '`':
			t[c] = apostrophe
		case c >= utf8.RuneSelf:
			t[c] = wide
		}
	}
	return t
}

// next reads one word; false at the end.
func (w *words) next() (word, bool) {
	for w.i < len(w.text) {
		if w.i >= w.at {
			w.i = w.after
			w.findAddress(w.after)
			continue
		}
		c := w.text[w.i]
		if k := folded[c]; k > wide {
			return w.read(), true
		} else if k == wide {
			if x, ok := w.readWide(); ok {
				return x, true
			}
			continue
		}
		w.i++
		if c == '<' {
			w.skipBracket()
		}
	}
	return word{}, false
}

// read reads the word that begins here.
func (w *words) read() word {
	x := word{hash: fnvOffset, number: true, start: w.i}
	text, i := w.text, w.i
	for i < len(text) {
		k := folded[text[i]]
		if k <= wide {
			if k == separator {
				break
			}
			n, ok := 1, true
			if k == wide {
				if n, ok = x.addWide(text[i:]); !ok {
					break
				}
			}
			if (k == apostrophe || strings.HasPrefix(text[i:], "’")) && elided(text[w.i:i]) && i+n < len(text) && folded[text[i+n]] >= wide {
				w.i, x.end = i+n, i
				return x
			}
			i += n
			continue
		}
		if k > '9' {
			x.number = false
		}
		x.hash = (x.hash ^ uint64(k)) * fnvPrime
		i++
	}
	w.i, x.end = i, i
	return x
}

// elided reports whether what an apostrophe ends is a word of its own: "n'existe",
// "l'utilisateur", "dell'utente", but not "doesn't" or "it's".
func elided(s string) bool {
	switch len(s) {
	case 1:
		return s != "I" && s != "i"
	case 4:
		return s[2:] == "ll" // dell', nell', sull', dall'
	}
	return false
}

// readWide reads a word that begins with a rune that is not ASCII.
func (w *words) readWide() (word, bool) {
	r, n := decode(w.text[w.i:])
	switch {
	case !unicode.IsLetter(r):
		w.i += n
		return word{}, false
	case unspaced(r):
		x := word{hash: (fnvOffset ^ uint64(r)) * fnvPrime, start: w.i, end: w.i + n}
		w.i += n
		return x, true
	}
	return w.read(), true
}

// addWide adds the rune that s begins with to the word, if it belongs to it.
func (x *word) addWide(s string) (n int, ok bool) {
	r, n := decode(s)
	if r == '’' || unicode.Is(unicode.Mn, r) {
		return n, true
	}
	if !unicode.IsLetter(r) || unspaced(r) {
		return 0, false
	}
	x.number = false
	if firstAccent <= r && r < firstPlain {
		for _, c := range []byte(plain[r-firstAccent]) {
			x.hash = (x.hash ^ uint64(c)) * fnvPrime
		}
		return n, true
	}
	if r = unicode.ToLower(r); r == 'ё' {
		r = 'е'
	}
	x.hash = (x.hash ^ uint64(r)) * fnvPrime
	return n, true
}

// decode reads a rune; a byte that is not UTF-8 is taken for Latin-1.
func decode(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 {
		return rune(s[0]), 1
	}
	return r, n
}

// unspaced reports whether a rune is of a script that writes no spaces.
func unspaced(r rune) bool { return r >= 0x2e80 || 0x0e00 <= r && r < 0x0e80 }

// findAddress finds the next address at or after from.
func (w *words) findAddress(from int) {
	w.at, w.after = len(w.text), len(w.text)
	i := strings.IndexByte(w.text[from:], '@')
	if i < 0 {
		return
	}
	start, end := from+i, from+i+1
	for start > from && addressByte(w.text[start-1]) {
		start--
	}
	for end < len(w.text) && (addressByte(w.text[end]) || w.text[end] == '@') {
		end++
	}
	w.at, w.after = start, end
}

func addressByte(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '<', '>', '(', ')', '[', ']', '"', ',', ';', ':':
		return false
	}
	return true
}

// skipBracket passes over the name in "<name>", which is not prose; a URL is kept.
func (w *words) skipBracket() {
	s := w.text[w.i:]
	for i := range min(len(s), 256) {
		switch s[i] {
		case '>':
			w.i += i
			return
		case ' ', '\t', '\n', '<', '/', '@':
			return
		}
	}
}

const (
	firstAccent = 0xc0
	firstPlain  = firstAccent + rune(len(plain))
)

// plain holds the letters from U+00C0 to U+017F without their accents.
var plain = [...]string{
	"a", "a", "a", "a", "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "o", "", "o", "u", "u", "u", "u", "y", "th", "ss",
	"a", "a", "a", "a", "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "o", "", "o", "u", "u", "u", "u", "y", "th", "y",
	"a", "a", "a", "a", "a", "a", "c", "c", "c", "c", "c", "c", "c", "c", "d", "d",
	"d", "d", "e", "e", "e", "e", "e", "e", "e", "e", "e", "e", "g", "g", "g", "g",
	"g", "g", "g", "g", "h", "h", "h", "h", "i", "i", "i", "i", "i", "i", "i", "i",
	"i", "i", "ij", "ij", "j", "j", "k", "k", "k", "l", "l", "l", "l", "l", "l", "l",
	"l", "l", "l", "n", "n", "n", "n", "n", "n", "n", "n", "n", "o", "o", "o", "o",
	"o", "o", "oe", "oe", "r", "r", "r", "r", "r", "r", "s", "s", "s", "s", "s", "s",
	"s", "s", "t", "t", "t", "t", "t", "t", "u", "u", "u", "u", "u", "u", "u", "u",
	"u", "u", "u", "u", "w", "w", "y", "y", "y", "z", "z", "z", "z", "z", "z", "s",
}
