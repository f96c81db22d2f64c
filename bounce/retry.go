package bounce

import (
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a server can ask us to wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter is the delay that a text asks for, as in "try again in 5 minutes",
// "greylisted for 300 seconds" or "retry after 00:05:00"; 0 if it names none.
func retryAfter(text string) time.Duration {
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) || i > 0 && (isDigit(text[i-1]) || isLetter(text[i-1]) || text[i-1] == '.') {
			continue
		}
		if !waitWord(lastWord(text[:i])) {
			continue
		}
		if d := delay(text[i:]); d > 0 {
			return min(d, maxRetryAfter)
		}
	}
	return 0
}

// lastWord is the word that s ends with.
func lastWord(s string) string {
	s = strings.TrimRight(s, " \t\n(~")
	i := len(s)
	for i > 0 && isLetter(s[i-1]) {
		i--
	}
	return s[i:]
}

func waitWord(s string) bool {
	for _, w := range [...]string{"in", "for", "after", "wait", "least", "dans", "nach", "en", "about", "again", "another", "delay", "delayed"} {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}

// delay reads "300 seconds", "5min" or "00:05:00".
func delay(s string) time.Duration {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	number, err := strconv.Atoi(s[:n])
	if err != nil || number > 1e6 {
		return 0
	}
	rest := s[n:]
	if len(rest) >= 6 && rest[0] == ':' && rest[3] == ':' {
		minutes, err1 := strconv.Atoi(rest[1:3])
		seconds, err2 := strconv.Atoi(rest[4:6])
		if err1 != nil || err2 != nil {
			return 0
		}
		return time.Duration(number)*time.Hour + time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
	}
	return time.Duration(number) * unit(strings.TrimLeft(rest, " "))
}

func unit(s string) time.Duration {
	for _, u := range units {
		if len(s) >= len(u.name) && strings.EqualFold(s[:len(u.name)], u.name) && (len(u.name) > 1 || lone(s)) {
			return u.length
		}
	}
	return 0
}

// lone reports whether the letter that s begins with is a word of its own.
func lone(s string) bool { return len(s) == 1 || !isLetter(s[1]) && !isDigit(s[1]) }

var units = [...]struct {
	name   string
	length time.Duration
}{
	{"sec", time.Second}, {"sek", time.Second}, {"seg", time.Second},
	{"min", time.Minute},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour},
	{"hour", time.Hour}, {"hrs", time.Hour}, {"heure", time.Hour}, {"stunde", time.Hour}, {"hora", time.Hour},
}
