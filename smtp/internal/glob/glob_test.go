package glob_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp/internal/glob"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		pattern, s string
		want       bool
	}{
		{"same", "ana@example.com", "ana@example.com", true},
		{"case", "Ana@EXAMPLE.com", "ana@example.COM", true},
		{"star crosses the at sign", "*", "ana@example.com", true},
		{"domain", "*@example.com", "ana@example.com", true},
		{"domain is anchored", "*@example.com", "ana@example.com.evil.test", false},
		{"domain is not a suffix", "*@example.com", "ana@badexample.com", false},
		{"subdomain", "*@*.example.com", "ana@mail.example.com", true},
		{"two stars backtrack", "a*b*c", "aXbXbYc", true},
		{"empty run", "ana*@example.com", "ana@example.com", true},
		{"question mark", "an?@example.com", "ana@example.com", true},
		{"question mark needs one", "ana?@example.com", "ana@example.com", false},
		{"brackets are plain", "[a]@example.com", "a@example.com", false},
		{"empty pattern", "", "ana@example.com", false},
		{"both empty", "", "", true},
		{"star matches empty", "**", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, glob.Match(test.pattern, test.s))
		})
	}
}

// FuzzMatch holds Match to what the equivalent regular expression says.
func FuzzMatch(f *testing.F) {
	f.Add("*@example.com", "ana@example.com")
	f.Add("a*b*?c", "aXbXbYc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !isASCII(pattern) || !isASCII(s) {
			t.Skip("regexp counts runes where Match counts octets")
		}
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(expr, `\*`, `.*`)
		expr = strings.ReplaceAll(expr, `\?`, `.`)
		want := regexp.MustCompile(`(?is)\A` + expr + `\z`).MatchString(s)
		require.Equal(t, want, glob.Match(pattern, s))
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
