package tracking_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// page compiles HTML and returns what a recipient with these fields gets, without
// the pixel.
func page(t *testing.T, html string, fields ...string) string {
	t.Helper()
	tracker := newTracker(t, &tracking.Options{Policy: tracking.Policy{Opens: tracking.Off}, Sink: discard})
	p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: html, Text: "x"})
	_, parts := leaves(t, render(t, tracker, p, recipient(fields...)))
	return parts[1].body
}

func TestFieldsAreEscapedByPlace(t *testing.T) {
	t.Parallel()
	const nasty = `<a b="c" d='e'>&amp; {{x}} ñ/?#;`
	for _, tt := range []struct{ name, html, value, want string }{
		{"text", `<p>{{ v }}</p>`, nasty, `<p>&lt;a b=&#34;c&#34; d=&#39;e&#39;&gt;&amp;amp; {{x}} ñ/?#;</p>`},
		{"attribute", `<p title="{{v}}">`, nasty, `<p title="&lt;a b=&#34;c&#34; d=&#39;e&#39;&gt;&amp;amp; {{x}} ñ/?#;">`},
		{"attribute without quotes", `<p title={{v}}>`, "a =`\t>", `<p title=a&#32;&#61;&#96;&#9;&gt;>`},
		{"part of a URL", `<img src="/i/{{v}}.png">`, "a/b ?&\"ñ", `<img src="/i/a%2Fb%20%3F%26%22%C3%B1.png">`},
		{"whole URL", `<img src="{{v}}">`, "https://a.test/ñ?a=1&b=\"2\"", `<img src="https://a.test/%C3%B1?a=1&amp;b=%222%22">`},
		{"relative URL", `<a href="{{v}}">`, "/a:b", `<a href="/a:b">`},
		{"mailto", `<a href="mailto:{{v}}">`, "a@b.test?x", `<a href="mailto:a%40b.test%3Fx">`},
		{"style", `<p style="color:{{v}}">`, "red;}x\"'", `<p style="color:red\00003B\00007Dx\000022\000027">`},
		{"style element", `<style>p{color:{{v}}}</style>`, "#fff</style>", `<style>p{color:#fff\00003C\00002Fstyle\00003E}</style>`},
		{"JSON", `<script type="application/ld+json">{"n":"{{v}}"}</script>`, "\"</script>\\\n", `<script type="application/ld+json">{"n":"\u0022\u003c/script\u003e\u005c\u000a"}</script>`},
		{"title", `<title>{{v}}</title>`, "</title>", `<title>&lt;/title&gt;</title>`},
		{"comment", `<!-- {{v}} --><p>`, "--><b>", `<!-- --&gt;&lt;b&gt; --><p>`},
		{"conditional comment", `<!--[if mso]><p title="{{v}}">{{v}}<![endif]-->`, `"<`, `<!--[if mso]><p title="&#34;&lt;">&#34;&lt;<![endif]-->`},
		{"two in a row", `<p>{{v}}{{v}}`, "a ", `<p>a a `},
		{"long", `<p>{{v}}`, strings.Repeat("ñ", 200), `<p>` + strings.Repeat("ñ", 200)},
		{"empty", `<p>{{v}}</p>`, "", `<p></p>`},
		{"lines", `<pre>{{v}}</pre>`, "a \nb\r\nc\rd", "<pre>a \r\nb\r\nc\rd</pre>"},
		{"own page", `<a href="{{unsubscribe}}">x</a>{{v}}`, "", `<a href="https://t.example.com/u/FQEBi8_laABwAYACAwQFBgcIJFkD1o99ALHObQsY">x</a>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, page(t, tt.html, "v", tt.value))
		})
	}
}

func TestWhatIsNoField(t *testing.T) {
	t.Parallel()
	const html = "<p>{{#if x}} {{ 1x }} {{{raw}}} {{}} {{a b}} {{x</p>"
	require.Equal(t, html, page(t, html))
}

func TestLinksWithFields(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	const html = `<a href="https://a.test/?id={{id}}&amp;x=1">a</a><a href="{{url}}">b</a><a data-no-track href="https://a.test/{{id}}">c</a>`
	p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: html})
	for _, tt := range []struct{ id, url, first, second string }{
		{"7 7", "https://b.test/?a=1&b=2", "https://a.test/?id=7%207&x=1", "https://b.test/?a=1&b=2"},
		{"&", "https://b.test/ñ", "https://a.test/?id=%26&x=1", "https://b.test/%C3%B1"},
	} {
		_, parts := leaves(t, render(t, tracker, p, recipient("id", tt.id, "url", tt.url)))
		links := regexpClick.FindAllString(parts[1].body, -1)
		require.Len(t, links, 2)
		require.Equal(t, []string{tt.first, tt.second}, followed(t, tracker, []byte(`<a href="`+links[0]+`"><a href="`+links[1]+`">`)))
	}
	_, parts := leaves(t, render(t, tracker, p, recipient("id", "7", "url", "mailto:a@b.test")))
	require.Contains(t, parts[1].body, `<a href="mailto:a@b.test">b</a><a data-no-track href="https://a.test/7">c</a>`)
	off := recipient("id", "7", "url", "https://b.test/?a&b")
	off.Policy = &tracking.Policy{Clicks: tracking.Off}
	_, parts = leaves(t, render(t, tracker, p, off))
	require.Contains(t, parts[1].body, `<a href="https://a.test/?id=7&amp;x=1">a</a><a href="https://b.test/?a&amp;b">b</a>`)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := compile(t, newTracker(t, nil), &tracking.Message{
		From: mail.Address{Address: "a@app.test"}, Subject: "{{subject}}", HTML: `<a href="{{url}}">{{text}}</a>`,
	})
	good := func() *tracking.Recipient { return recipient("subject", "x", "url", "https://a.test/", "text", "a\nb") }
	require.NoError(t, p.Check(good()))
	for _, tt := range []struct {
		name   string
		change func(r *tracking.Recipient)
		want   string
	}{
		{"no address", func(r *tracking.Recipient) { r.To.Address = "" }, `address "" has no @`},
		{"bad local part", func(r *tracking.Recipient) { r.To.Address = "a b@c.test" }, `"a b@c.test"`},
		{"bad domain", func(r *tracking.Recipient) { r.To.Address = "a@-c.test" }, `"a@-c.test"`},
		{"line end in the address", func(r *tracking.Recipient) { r.To.Address = "a@c.test\r\nBcc: x@c.test" }, `"a@c.test\r\nBcc: x@c.test"`},
		{"line end in the name", func(r *tracking.Recipient) { r.To.Name = "a\r\nBcc: x@c.test" }, "control character"},
		{"missing field", func(r *tracking.Recipient) { delete(r.Fields, "text") }, `lucia@cliente.example has no value for field "text"`},
		{"line end in a header field", func(r *tracking.Recipient) { r.Fields["subject"] = "a\r\nBcc: x@c.test" }, `field "subject": "a\r\nBcc: x@c.test" has a control character`},
		{"script as a URL", func(r *tracking.Recipient) { r.Fields["url"] = " java\nscript:alert(1)" }, `field "url"`},
		{"unknown mode", func(r *tracking.Recipient) { r.Policy = &tracking.Policy{Opens: 9} }, "unknown mode 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good()
			tt.change(r)
			require.ErrorIs(t, p.Check(r), tracking.ErrBadRecipient)
			require.ErrorContains(t, p.Check(r), tt.want)
			out, _, err := p.Append([]byte("kept"), r)
			require.ErrorIs(t, err, tracking.ErrBadRecipient)
			require.Equal(t, "kept", string(out))
		})
	}
}
