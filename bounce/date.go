package bounce

import (
	"strings"
	"time"
)

// parseDate reads a date of RFC 5322, section 3.3, and what is written instead of
// one: other orders of its words, and none of some. It is zero if there is no day,
// month and year in s.
func parseDate(s string) time.Time {
	var d date
	for len(s) > 0 && d.words < maxDateWords {
		var word string
		word, s = nextDateWord(s)
		d.add(word)
	}
	if d.day == 0 || d.month == 0 || d.year == 0 {
		return time.Time{}
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, 0, time.UTC)
	if t.Day() != d.day || d.hour > 23 || d.minute > 59 || d.second > 60 {
		return time.Time{}
	}
	return t.Add(-time.Duration(d.offset) * time.Minute)
}

const maxDateWords = 12

// date collects what the words of a date say.
type date struct {
	year, day            int
	month                time.Month
	hour, minute, second int
	offset               int // east of UTC, in minutes
	words                int
}

// nextDateWord cuts a word off. Comments are words.
func nextDateWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t\n,")
	i := strings.IndexAny(s, " \t\n,")
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

func (d *date) add(word string) {
	d.words++
	switch {
	case len(word) == 5 && (word[0] == '+' || word[0] == '-'):
		d.offset = number(word[1:3])*60 + number(word[3:])
		if word[0] == '-' {
			d.offset = -d.offset
		}
	case strings.IndexByte(word, ':') > 0:
		d.clock(word)
	case len(word) >= 10 && word[4] == '-': // 2006-01-02T15:04:05Z07:00
		d.iso(word)
	case isDigits(word) && len(word) <= 2 && d.day == 0:
		d.day = number(word)
	case isDigits(word) && len(word) <= 4:
		if d.year = number(word); len(word) == 2 {
			d.year += 1900 + 100*b2i(d.year < 50) // RFC 5322, section 4.3
		}
	case len(word) >= 3 && d.month == 0:
		d.month = month(word)
	}
}

func (d *date) clock(word string) {
	if len(word) > 10 && word[4] == '-' {
		d.iso(word)
		return
	}
	h, rest, _ := strings.Cut(word, ":")
	m, sec, _ := strings.Cut(rest, ":")
	sec, _, _ = strings.Cut(sec, ".")
	d.hour, d.minute, d.second = number(h), number(m), number(sec)
}

func (d *date) iso(word string) {
	d.year, d.month, d.day = number(word[:4]), time.Month(number(word[5:7])), number(word[8:10])
	rest := word[10:]
	if len(rest) < 9 {
		return
	}
	d.clock(rest[1:9])
	if i := strings.IndexAny(rest[9:], "+-"); i >= 0 {
		d.add(strings.ReplaceAll(rest[9+i:], ":", ""))
	}
}

// month is that of a name, by its first three letters; 0 if it is none.
func month(word string) time.Month {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for m := range 12 {
		if equalFold(word[:3], names[3*m:3*m+3]) {
			return time.Month(m + 1)
		}
	}
	return 0
}

// number is the value of up to four digits, and a large number if s is more or
// something else.
func number(s string) int {
	if !isDigits(s) || len(s) > 4 {
		return 1e6 * b2i(s != "")
	}
	n := 0
	for i := range len(s) {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
