package smtp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// A policy that parses is one that can be applied: a known mode, host names, an
// age within bounds; and it reads the same written out again.
func FuzzSTSPolicy(f *testing.F) {
	f.Add(enforce)
	f.Add("version: STSv1\r\nmode: testing\r\nmx: *.example.com\r\nmx: a.example.com\r\nmax_age: 31557600\r\n")
	f.Add("version:STSv1\nmode:none\nmax_age:0\nmax_age:x")
	f.Add("version: STSv1\nmode: enforce\nmx: \nmax_age: 1")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := smtp.ParseSTSPolicy([]byte(text))
		if err != nil {
			return
		}
		require.Contains(t, []smtp.STSMode{smtp.STSEnforce, smtp.STSTesting, smtp.STSNone}, p.Mode)
		require.True(t, p.MaxAge >= 0 && p.MaxAge <= 366*24*time.Hour)
		require.True(t, len(p.MX) > 0 || p.Mode == smtp.STSNone)
		var again strings.Builder
		again.WriteString("version: STSv1\nmode: " + string(p.Mode) + "\n")
		for _, mx := range p.MX {
			require.NotContains(t, strings.TrimPrefix(mx, "*."), "*")
			require.Equal(t, strings.ToLower(mx), mx)
			again.WriteString("mx: " + mx + "\n")
		}
		fmt.Fprintf(&again, "max_age: %d\n", p.MaxAge/time.Second)
		q, err := smtp.ParseSTSPolicy([]byte(again.String()))
		require.NoError(t, err)
		require.Equal(t, p, q)
	})
}

func FuzzSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Add("v=STSv1;id=1;x=y")
	f.Add("v=STSv1 ; ; id = 1")
	f.Fuzz(func(t *testing.T, txt string) {
		id, ok := smtp.ParseSTSRecord([]string{txt})
		if !ok {
			return
		}
		require.True(t, len(id) >= 1 && len(id) <= 32)
		require.Equal(t, -1, strings.IndexFunc(id, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
		_, twice := smtp.ParseSTSRecord([]string{txt, txt})
		require.False(t, twice, "two records are none")
	})
}

// Whatever comes from the network, what is taken from it belongs to the question
// and stays within the limits.
func FuzzDNSReply(f *testing.F) {
	z := newZone(f,
		"example.com. 60 IN MX 10 mx.example.com.", "example.com. 60 IN CNAME alias.example.com.",
		"alias.example.com. 60 IN TXT \"a\" \"b\"", "example.com. 60 IN TLSA 3 1 1 00", "example.com. 60 IN AAAA ::1",
		"example.com. 60 IN CNAME example.com.",
	)
	for _, kind := range []smtp.RecordType{smtp.RecordMX, smtp.RecordTXT, smtp.RecordTLSA, smtp.RecordAAAA, smtp.RecordCNAME} {
		reply := new(dns.Msg).SetQuestion("example.com.", uint16(kind))
		reply.Response, reply.Answer = true, z.records
		packet, err := reply.Pack()
		require.NoError(f, err)
		f.Add(packet, uint16(kind))
	}
	f.Fuzz(func(t *testing.T, packet []byte, kind uint16) {
		a, err := smtp.ReadReply(packet, "example.com", smtp.RecordType(kind))
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, a.TTL, time.Duration(0))
		require.LessOrEqual(t, a.TTL, time.Hour)
		found := 0
		for i, n := range []int{len(a.Addrs), len(a.MX), len(a.TXT), len(a.TLSA), len(a.Names)} {
			require.LessOrEqual(t, n, 128)
			if n > 0 {
				found++
				fits := [][]smtp.RecordType{{smtp.RecordA, smtp.RecordAAAA}, {smtp.RecordMX}, {smtp.RecordTXT}, {smtp.RecordTLSA}, {smtp.RecordPTR, smtp.RecordCNAME}}
				require.Contains(t, fits[i], smtp.RecordType(kind))
			}
		}
		require.LessOrEqual(t, found, 1)
		require.False(t, strings.HasSuffix(a.Canonical, ".") && len(a.Canonical) > 1 && !strings.HasSuffix(a.Canonical, `\.`))
	})
}
