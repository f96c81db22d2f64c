package bounce

import (
	"iter"
	"strings"
)

// fields yields the fields of a header, with the folds in their values.
func fields(header string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := header; rest != ""; {
			var name, value string
			name, value, rest = nextField(rest)
			if name != "" && !yield(name, value) {
				return
			}
		}
	}
}

// nextField cuts one field off a header: its name without the space before the
// colon, and the first 64 KiB of its value with the folds in it. The name is empty for a line that is
// no field.
func nextField(s string) (name, value, rest string) {
	end := 0
	for {
		i := strings.IndexByte(s[end:], '\n')
		if i < 0 {
			end = len(s)
			break
		}
		end += i + 1
		if end == len(s) || (s[end] != ' ' && s[end] != '\t') {
			break
		}
	}
	line, rest := s[:end], s[end:]
	name, value, found := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	if !found || name == "" || strings.ContainsAny(name, " \t\r\n") {
		return "", "", rest
	}
	value = strings.Trim(value, " \t\r\n")
	return name, value[:min(len(value), maxHeaderLine)], rest
}

// unfold joins the lines of a field's value (RFC 5322, section 2.2.3).
func unfold(s string) string {
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\r\n")
		if b.Len() > 0 {
			line = strings.TrimLeft(line, " \t")
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// lower folds a field's name into buf, so that it can be switched on without an
// allocation. Names that are longer than buf are none that we know.
func lower(buf *[40]byte, name string) []byte {
	if len(name) > len(buf) {
		return nil
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)]
}

// containsFold says whether s contains phrase, which is in lower case; only ASCII
// letters fold.
func containsFold(s, phrase string) bool { return indexFold(s, phrase) >= 0 }

// indexFold is strings.Index for a phrase in lower case.
func indexFold(s, phrase string) int {
	if phrase == "" {
		return 0
	}
	first := phrase[0]
	upper := first
	if 'a' <= first && first <= 'z' {
		upper -= 'a' - 'A'
	}
	for i := 0; i+len(phrase) <= len(s); i++ {
		if c := s[i]; (c == first || c == upper) && equalFold(s[i:i+len(phrase)], phrase) {
			return i
		}
	}
	return -1
}

// equalFold compares s with a phrase in lower case of the same length.
func equalFold(s, phrase string) bool {
	for i := range len(phrase) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != phrase[i] {
			return false
		}
	}
	return true
}

// messageID is the first angle-bracketed word, or the first word.
func messageID(s string) string {
	s = strings.TrimSpace(unfold(s))
	if i := strings.IndexByte(s, '<'); i >= 0 {
		if j := strings.IndexByte(s[i:], '>'); j > 0 {
			return s[i+1 : i+j]
		}
	}
	s, _, _ = strings.Cut(s, " ")
	return strings.Trim(s, "<>")
}
