package tracking_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const finished = `Return-Path: <x@tienda.example>
From: =?utf-8?q?Tienda_=C3=91and=C3=BA?= <hola@tienda.example>
To: clientes@tienda.example
Bcc: secreto@tienda.example,
 otro@tienda.example
Subject: Factura
X-Spaces:   kept   as they are
Mime-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8

https://tienda.example/text stays
--inner
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: 8bit
Content-Language: es

<p>` + "a\xf1o" + `</p><a href="https://tienda.example/a?b=1&amp;c=2">ver</a> {{name}}
--inner--
--outer
Content-Type: text/html
Content-Disposition: attachment; filename=a.html

<a href="https://tienda.example/a">kept</a>
--outer--
epilogue
`

func TestCompileRaw(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, &tracking.Options{Sink: discard})
	p, err := tracker.CompileRaw([]byte(finished))
	require.NoError(t, err)
	require.Len(t, p.Links(), 1)
	require.Equal(t, "https://tienda.example/a?b=1&c=2", p.Links()[0].URL)
	got := string(render(t, tracker, p, recipient()))

	link := regexpClick.FindString(strings.ReplaceAll(got, "=\r\n", ""))
	require.NotEmpty(t, link)
	want := crlf(finished)
	want = strings.Replace(want, "Return-Path: <x@tienda.example>\r\n", "", 1)
	want = strings.Replace(want, "Bcc: secreto@tienda.example,\r\n otro@tienda.example\r\n", "", 1)
	head, body, _ := strings.Cut(want, "\r\n\r\n")
	gotHead, gotBody, _ := strings.Cut(got, "\r\n\r\n")
	require.Equal(t, head, gotHead[:len(head)])
	require.Contains(t, gotHead[len(head):], "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	require.Contains(t, gotHead[len(head):], "Message-ID: <")
	require.NotContains(t, gotHead[len(head):], "\r\nTo: ")

	before, html, _ := strings.Cut(body, "Content-Transfer-Encoding: 8bit\r\n")
	_, after, _ := strings.Cut(html, "{{name}}")
	require.Equal(t, before, gotBody[:len(before)])
	require.Equal(t, after, gotBody[len(gotBody)-len(after):])
	_, parts := leaves(t, []byte(got))
	require.Contains(t, parts[1].body, `<p>año</p><a href="`+link+`">ver</a> {{name}}`)
	require.Contains(t, parts[1].body, `.gif" width="1"`)
	require.Contains(t, parts[2].body, `<a href="https://tienda.example/a">kept</a>`)
}

func TestCompileRawOwnMessageID(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	p, err := tracker.CompileRaw([]byte(crlf("From: hola@tienda.example\nMessage-ID: <uno@tienda.example>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nTo: a@b.example\n\nHola\n")))
	require.NoError(t, err)
	got, envelope, err := p.Append(nil, recipient())
	require.NoError(t, err)
	require.Equal(t, "uno@tienda.example", envelope.MessageID)
	require.Equal(t, crlf("From: hola@tienda.example\nMessage-ID: <uno@tienda.example>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nTo: a@b.example\n\nHola\n"), string(got))
}

func TestCompileRawCopies(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, &tracking.Options{Policy: tracking.Policy{Opens: tracking.Off}})
	const head = "From: hola@tienda.example\nMessage-ID: <uno@tienda.example>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nTo: a@b.example\n"
	for _, tt := range []struct{ name, before, body string }{
		{"mbox line", "From hola@tienda.example Mon Nov 23 12:00:00 2026\n", "Content-Type: text/plain\n\nHola\n"},
		{"no body", "", "Subject: x\n\n"},
		{"HTML without links", "", "Content-Type: text/html; charset=utf-16\n\n<p>x</p>\n"},
		{"attached HTML", "", "Content-Type: text/html\nContent-Disposition: attachment\n\n<a href=http://a.test>\n"},
		{"broken part", "", "Content-Type: multipart/mixed; boundary=b\n\n--b\nno colon\n\nx\n--b--\n"},
		{"no last delimiter", "", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--bb\n"},
		{"empty part", "", "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b--\n"},
		{"no boundary", "", "Content-Type: multipart/mixed\n\n--b\n\nx\n"},
		{"forwarded", "", "Content-Type: message/rfc822\n\nContent-Type: text/html\n\n<a href=http://a.test>\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tracker.CompileRaw([]byte(tt.before + head + tt.body))
			require.NoError(t, err)
			got, _, err := p.Append(nil, recipient())
			require.NoError(t, err)
			require.Equal(t, crlf(head+tt.body), string(got))
		})
	}
}

// FuzzCompileRaw proves that what is compiled can be rendered, and that a message
// without links and pixel is copied.
func FuzzCompileRaw(f *testing.F) {
	f.Add([]byte(finished))
	f.Add([]byte("From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<a href=http://a.test>\n--b--\n"))
	tracker, err := tracking.New("https://t.example.com", testKeys, &tracking.Options{Policy: tracking.Policy{Opens: tracking.Off, Clicks: tracking.Off}})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, msg []byte) {
		p, err := tracker.CompileRaw(msg)
		if err != nil {
			return
		}
		got, _, err := p.Append(nil, recipient())
		require.NoError(t, err)
		_, body, found := strings.Cut(string(got), "\r\n\r\n")
		require.True(t, found)
		body = strings.TrimSuffix(body, "\r\n")
		require.Contains(t, strings.ReplaceAll(strings.ReplaceAll(string(msg), "\r\n", "\n"), "\n", "\r\n"), body)
	})
}

func TestCompileRawRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, msg, want string }{
		{"signed", "From: a@b.example\nContent-Type: multipart/signed; boundary=x\n\n--x--\n", "multipart/signed: signed or encrypted"},
		{"encrypted", "From: a@b.example\nContent-Type: multipart/encrypted; boundary=x\n\n--x--\n", "multipart/encrypted: signed or encrypted"},
		{"S/MIME inside", "From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/pkcs7-mime\n\nx\n--x--\n", "application/pkcs7-mime: signed or encrypted"},
		{"DKIM", "From: a@b.example\nDKIM-Signature: v=1\n\nx\n", "field DKIM-Signature: signed or encrypted"},
		{"no From", "To: a@b.example\n\nx\n", "the field From is missing or malformed"},
		{"no header", "Hola\n", "malformed header"},
		{"charset", "From: a@b.example\nContent-Type: text/html; charset=utf-16le\n\nx\n", `charset "utf-16le"`},
		{"encoding", "From: a@b.example\nContent-Type: text/html\nContent-Transfer-Encoding: x-uue\n\nx\n", `unknown Content-Transfer-Encoding "x-uue"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newTracker(t, nil).CompileRaw([]byte(tt.msg))
			require.ErrorContains(t, err, tt.want)
			if strings.Contains(tt.want, "signed") {
				require.ErrorIs(t, err, tracking.ErrSigned)
			}
		})
	}
}

// TestCompileRawCorpus sends real HTML through a finished message and proves that
// only hrefs and the pixel differ in what a reader gets.
func TestCompileRawCorpus(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			raw := append([]byte("From: a@tienda.example\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"), base64.StdEncoding.EncodeToString(source)...)
			p, err := tracker.CompileRaw(raw)
			require.NoError(t, err)
			got, _, err := p.Append(nil, recipient())
			require.NoError(t, err)
			checkPage(t, tracker, source, got)
		})
	}
}
