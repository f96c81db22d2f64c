package smtp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

var goodAddresses = []struct{ in, local, domain string }{
	{"ana@example.com", "ana", "example.com"},
	{"Ana.María@EXAMPLE.com", "Ana.María", "example.com"},
	{"o'brien+news=x@sub.example.com", "o'brien+news=x", "sub.example.com"},
	{"root@localhost", "root", "localhost"},
	{"ana@correo.españa.example", "ana", "correo.xn--espaa-rta.example"},
	{`"ana maria"@example.com`, "ana maria", "example.com"},
	{`"a\"b\\c"@example.com`, `a"b\c`, "example.com"},
	{`"ana"@example.com`, "ana", "example.com"},
	{`"a@b"@example.com`, "a@b", "example.com"},
	{"ana@[192.0.2.1]", "ana", "[192.0.2.1]"},
	{"ana@[IPv6:2001:DB8::1]", "ana", "[IPv6:2001:db8::1]"},
	{strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64), "example.com"},
}

var badAddresses = map[string]string{
	"empty":                    "",
	"no at sign":               "ana",
	"no local part":            "@example.com",
	"no domain":                "ana@",
	"parameter":                "a@b> SIZE=1",
	"bracket":                  "<a@b.example>",
	"quoted parameter":         `"x> ORCPT=y"@b> z`,
	"space":                    "a b@example.com",
	"tab":                      "a\t@example.com",
	"NUL":                      "a\x00@example.com",
	"CR":                       "a\r@example.com",
	"LF":                       "a@example.com\n",
	"CRLF and a command":       "a@example.com>\r\nRSET",
	"NUL in quotes":            "\"a\x00\"@example.com",
	"CR in quotes":             "\"a\r\"@example.com",
	"line separator":           "a\u2028b@example.com",
	"right to left override":   "a\u202eb@example.com",
	"C1 control":               "a\u0085b@example.com",
	"not UTF-8":                "a\xff@example.com",
	"trailing dot":             "ana@example.com.",
	"empty label":              "ana@a..b",
	"dot first":                ".ana@example.com",
	"dot last":                 "ana.@example.com",
	"two dots":                 "a..b@example.com",
	"65 octets of local part":  strings.Repeat("a", 65) + "@example.com",
	"255 octets":               "a@" + strings.Repeat(strings.Repeat("b", 62)+".", 4) + "es",
	"64 octets of label":       "a@" + strings.Repeat("b", 64) + ".example",
	"IP without brackets":      "ana@127.0.0.1",
	"fullwidth IP":             "ana@１２７.0.0.1",
	"number as a top level":    "ana@example.123",
	"hyphen first":             "ana@-example.com",
	"underscore":               "ana@a_b.example",
	"unclosed literal":         "ana@[192.0.2.1",
	"literal without IPv6 tag": "ana@[2001:db8::1]",
	"literal with a zone":      "ana@[IPv6:fe80::1%eth0]",
	"display name":             "Ana <ana@example.com>",
	"comment":                  "ana(x)@example.com",
	"list":                     "a@example.com,b@example.com",
	"unclosed quote":           `"ana@example.com`,
	"escaped last quote":       `"ana\"@example.com`,
	"quote inside":             `"a"b"@example.com`,
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, good := range goodAddresses {
		local, domain, err := smtp.ParseAddress(good.in)
		require.NoError(t, err, good.in)
		require.Equal(t, good.local, local, good.in)
		require.Equal(t, good.domain, domain, good.in)
	}
	for name, in := range badAddresses {
		_, _, err := smtp.ParseAddress(in)
		require.ErrorIs(t, err, smtp.ErrBadAddress, name)
	}
}

func TestParseAddressIsLinear(t *testing.T) {
	for _, unit := range []string{"a", "(", "\"", "@", "\\", "é", ".", "a.", "["} {
		huge := strings.Repeat(unit, 1<<20/len(unit))
		for _, in := range []string{huge, huge + "@example.com", "a@" + huge, `"` + huge + `"@example.com`} {
			best := time.Hour // of several, as the machine may be busy
			for range 5 {
				start := time.Now()
				_, _, err := smtp.ParseAddress(in)
				best = min(best, time.Since(start))
				require.ErrorIs(t, err, smtp.ErrBadAddress)
				require.Less(t, len(err.Error()), 1024, "the error quotes only the start")
			}
			require.Less(t, best, 10*time.Millisecond, "1 MB of %q", unit)
		}
	}
}

// FuzzAddress: what is accepted cannot leave the angle brackets of a command, is
// within the limits, and is the same when it is parsed again.
func FuzzAddress(f *testing.F) {
	for _, good := range goodAddresses {
		f.Add(good.in)
	}
	for _, in := range badAddresses {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		local, domain, err := smtp.ParseAddress(in)
		if err != nil {
			require.ErrorIs(t, err, smtp.ErrBadAddress)
			return
		}
		require.NotContains(t, local+domain, "\r")
		require.NotContains(t, local+domain, "\n")
		require.NotContains(t, local+domain, "\x00")
		require.NotContains(t, domain, ">")
		require.LessOrEqual(t, len(local), 64)
		require.LessOrEqual(t, len(domain), 255)
		quoted := `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(local) + `"@` + domain
		again, sameDomain, err := smtp.ParseAddress(quoted)
		if len(quoted) > 64+1+len(domain) || len(quoted) > 254 {
			return // quoting made it too long, which is its own error
		}
		require.NoError(t, err)
		require.Equal(t, local, again)
		require.Equal(t, domain, sameDomain)
	})
}
