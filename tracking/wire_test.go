package tracking_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

var texts = []string{
	"", " ", "Hola\n", "a \t\nb\t \r\n", ".\n..\n", "a\rb\r\rc\r\n", "=3D =\n", "From me\n", "\x00\x7f\xff ñ €",
	strings.Repeat("x", 200), strings.Repeat("x ", 100), strings.Repeat("ñ", 100), strings.Repeat(".", 100), strings.Repeat(" ", 200) + "\n",
	"--=_\n", "<a href=\"http://a.test/\">x</a>\r", "</body>\n\n</html>\r\n",
}

// FuzzCompile sends HTML through Compile, Append and go-message, and proves that
// what arrives differs in hrefs and the pixel alone.
func FuzzCompile(f *testing.F) {
	for _, s := range texts {
		f.Add(s)
	}
	for _, tt := range rewrites {
		f.Add(tt.in)
	}
	tracker, err := tracking.New("https://t.example.com", testKeys, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "{{") || strings.Contains(source, "https://t.example.com") || source == "" {
			t.Skip()
		}
		p, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: source, Text: source})
		require.NoError(t, err)
		_, parts := leaves(t, render(t, tracker, p, recipient()))
		want := strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\n", "\r\n")
		require.Equal(t, want, parts[0].body)
		got := regexpPixel.ReplaceAllString(parts[1].body, "")
		blank := func(tracking.Link) (string, bool) { return "x", true }
		require.Equal(t, string(tracking.Rewrite(nil, []byte(want), blank)), string(tracking.Rewrite(nil, []byte(got), blank)))
	})
}

// FuzzHeader sends texts through the header, fixed and in merge fields, and has
// go-message read them.
func FuzzHeader(f *testing.F) {
	for _, s := range texts {
		f.Add(s, s)
	}
	f.Add("=?utf-8?q?x?=", "a\"b\\c, d")
	f.Add(strings.Repeat("palabra ", 30), strings.Repeat("á", 300))
	tracker, err := tracking.New("https://t.example.com", testKeys, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, subject, name string) {
		m := &tracking.Message{
			From: mail.Address{Name: name, Address: "a@app.test"}, ReplyTo: []mail.Address{{Name: name, Address: "a@app.test"}, {Address: "b@app.test"}},
			Subject: subject, Text: "x", Header: map[string][]string{"X-Field": {"{{v}}"}},
		}
		p, err := tracker.Compile(m)
		if bad := func(s string) bool {
			return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
		}; bad(subject) || bad(name) {
			require.Error(t, err)
			return
		}
		if strings.Contains(subject, "{{") || utf8.RuneCountInString(subject) > 400 {
			t.Skip()
		}
		require.NoError(t, err)
		r := recipient("v", subject)
		r.To.Name = name
		got, _, err := p.Append(nil, r)
		require.NoError(t, err)
		head, _, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			require.NotEmpty(t, bytes.TrimSpace(line), "blank line in %q", head)
			require.True(t, len(line) <= 76 || !bytes.Contains(bytes.TrimLeft(line, " "), []byte(" ")) || isField(line), "%q", line)
		}
		checkHeader(t, got, subject, name)
	})
}

// isField reports whether line is a field of one word, which cannot be folded.
func isField(line []byte) bool {
	_, value, ok := bytes.Cut(line, []byte(": "))
	return ok && !bytes.Contains(bytes.TrimSpace(value), []byte(" "))
}

func checkHeader(t *testing.T, raw []byte, subject, name string) {
	t.Helper()
	header, _ := leaves(t, raw)
	for _, field := range []string{"Subject", "X-Field"} {
		text, err := header.Text(field)
		require.NoError(t, err)
		require.Equal(t, strings.Trim(subject, " "), strings.Trim(text, " "), field)
	}
	for _, field := range []string{"From", "To", "Reply-To"} {
		list, err := (&mail.AddressParser{}).ParseList(header.Get(field))
		require.NoError(t, err, header.Get(field))
		require.Equal(t, strings.Join(strings.Fields(name), " "), strings.Join(strings.Fields(list[0].Name), " "), field)
	}
}

// FuzzUnmarshalTemplate proves that a damaged template is an error or renders, and
// never panics.
func FuzzUnmarshalTemplate(f *testing.F) {
	tracker, err := tracking.New("https://t.example.com", testKeys, &tracking.Options{Sink: discard})
	require.NoError(f, err)
	for _, m := range []*tracking.Message{sample(), newsletter(), {From: mail.Address{Address: "a@app.test"}, Text: "x"}} {
		p, err := tracker.Compile(m)
		require.NoError(f, err)
		stored, err := p.MarshalBinary()
		require.NoError(f, err)
		f.Add(stored)
		f.Add(stored[:len(stored)/2])
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		p, err := tracker.UnmarshalTemplate(stored)
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrBadTemplate)
			return
		}
		r := recipient()
		for _, name := range p.Fields() {
			r.Fields[name] = "x"
		}
		_, _, _ = p.Append(nil, r)
		again, err := p.MarshalBinary()
		require.NoError(t, err)
		require.LessOrEqual(t, len(again), len(stored))
	})
}

func TestUnmarshalNamesTheVersion(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	for stored, want := range map[string]string{
		"":     "no bytes",
		"\x07": "template of version 7, where this program reads version 1",
		"\x01": "cut short or damaged at byte 1 of 1",
	} {
		_, err := tracker.UnmarshalTemplate([]byte(stored))
		require.ErrorIs(t, err, tracking.ErrBadTemplate)
		require.ErrorContains(t, err, want)
	}
	stored, err := compile(t, tracker, newsletter()).MarshalBinary()
	require.NoError(t, err)
	for _, secret := range testKeys {
		require.NotContains(t, string(stored), string(secret.Secret))
	}
	_, err = tracker.UnmarshalTemplate(append(stored, 0))
	require.ErrorContains(t, err, "1 bytes behind the end")
	for n := range min(len(stored), 3000) {
		_, err := tracker.UnmarshalTemplate(stored[:n])
		require.Error(t, err)
	}
}
