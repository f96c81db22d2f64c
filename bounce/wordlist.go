package bounce

// wordlist finds phrases of a table in a text: in lower case, and with ASCII
// letters folded. It is immutable.
type wordlist struct {
	// first holds the phrases by the byte that they begin with.
	first [256][]string
}

// newWordlist makes a list of phrases, which are in lower case and not empty.
func newWordlist(phrases ...string) *wordlist {
	w := &wordlist{}
	for _, p := range phrases {
		w.first[p[0]] = append(w.first[p[0]], p)
	}
	return w
}

// at is the phrase that s begins with; empty if it begins with none.
func (w *wordlist) at(s string) string {
	c := s[0]
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	for _, p := range w.first[c] {
		if len(p) <= len(s) && equalFold(s[1:len(p)], p[1:]) {
			return p
		}
	}
	return ""
}

// in says whether any phrase is in s.
func (w *wordlist) in(s string) bool {
	for i := range len(s) {
		if w.at(s[i:]) != "" {
			return true
		}
	}
	return false
}

// begins says whether s begins with a phrase.
func (w *wordlist) begins(s string) bool { return s != "" && w.at(s) != "" }

// last is the last phrase in s, and where it ends; -1 if none is in it.
func (w *wordlist) last(s string) (phrase string, end int) {
	for i := len(s) - 1; i >= 0; i-- {
		if p := w.at(s[i:]); p != "" {
			return p, i + len(p)
		}
	}
	return "", -1
}
