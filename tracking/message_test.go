package tracking_test

import (
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(m *tracking.Message)
		want   string
	}{
		{"no From", func(m *tracking.Message) { m.From.Address = "" }, `From: address "" has no @`},
		{"bad Reply-To", func(m *tracking.Message) { m.ReplyTo = []mail.Address{{Address: "a b@c.test"}} }, `Reply-To: address "a b@c.test"`},
		{"bad Cc name", func(m *tracking.Message) { m.Cc = []mail.Address{{Name: "a\nb", Address: "a@c.test"}} }, `Cc: name "a\nb"`},
		{"bad Sender", func(m *tracking.Message) { m.Sender = &mail.Address{Address: "x"} }, `Sender: address "x"`},
		{"nothing to say", func(m *tracking.Message) { m.HTML = "" }, "neither HTML nor Text"},
		{"AMP alone", func(m *tracking.Message) { m.HTML, m.Text, m.AMP = "", "x", "<html amp4email>" }, "AMP needs HTML"},
		{"line end in the subject", func(m *tracking.Message) { m.Subject = "a\r\nBcc: x@y.test" }, `Subject "a\r\nBcc: x@y.test"`},
		{"line end in a field", func(m *tracking.Message) { m.Header = textproto.MIMEHeader{"X-A": {"a\nb"}} }, `X-A: "a\nb"`},
		{"bad field name", func(m *tracking.Message) { m.Header = textproto.MIMEHeader{"X A": {"a"}} }, `field name "X A"`},
		{"own field", func(m *tracking.Message) { m.Header = textproto.MIMEHeader{"content-TYPE": {"a"}} }, "content-TYPE is written by the template"},
		{"long word", func(m *tracking.Message) { m.Header = textproto.MIMEHeader{"X-A": {strings.Repeat("x", 1000)}} }, "998 octets"},
		{"bad ListID", func(m *tracking.Message) { m.ListID = "a b" }, `ListID "a b"`},
		{"bad UnsubscribeMail", func(m *tracking.Message) { m.UnsubscribeMail = "x" }, `UnsubscribeMail: address "x"`},
		{"nameless UTM", func(m *tracking.Message) { m.UTM = []tracking.Param{{Value: "x"}} }, `"x" has no name`},
		{"unknown mode", func(m *tracking.Message) { m.Policy.Clicks = 9 }, "unknown mode 9"},
		{"field in a tag", func(m *tracking.Message) { m.HTML = "<p>\n<td {{attrs}}>" }, `field "attrs" on line 2 stands where no value can be escaped`},
		{"field in an element name", func(m *tracking.Message) { m.HTML = "<h{{n}}>" }, `field "n" on line 1`},
		{"field in an event handler", func(m *tracking.Message) { m.HTML = `<p onclick="{{js}}">` }, `field "js"`},
		{"field in an unfinished tag", func(m *tracking.Message) { m.HTML = `<p title="{{x}}` }, `field "x"`},
		{"page inside of a URL", func(m *tracking.Message) { m.HTML = `<a href="https://a.test/?u={{unsubscribe}}">` }, `field "unsubscribe" inside of the URL`},
		{"page in the subject", func(m *tracking.Message) { m.Subject = "{{unsubscribe}}" }, `field "unsubscribe" in the header field Subject`},
		{"part without content", func(m *tracking.Message) { m.Parts = []tracking.Part{{Name: "a.pdf"}} }, `part "a.pdf": Open is nil`},
		{"part of no type", func(m *tracking.Message) { m.Parts = []tracking.Part{typed("x")} }, `type "x" is not a media type`},
		{"multipart part", func(m *tracking.Message) { m.Parts = []tracking.Part{typed("multipart/mixed")} }, `type "multipart/mixed"`},
		{"bad part name", func(m *tracking.Message) { m.Parts = []tracking.Part{tracking.BytesPart("a\n", nil)} }, `part "a\n"`},
		{"bad content ID", func(m *tracking.Message) { m.Parts = []tracking.Part{tracking.BytesPart("a", nil).Inline("a b")} }, `content ID "a b"`},
		{"no file", func(m *tracking.Message) { m.Parts = []tracking.Part{tracking.FilePart(fstest.MapFS{}, "a.pdf")} }, `part "a.pdf": open a.pdf`},
		{"broken reader", func(m *tracking.Message) {
			m.Parts = []tracking.Part{tracking.ReaderPart("a.pdf", iotest.ErrReader(io.ErrClosedPipe))}
		}, `part "a.pdf": io: read/write on closed pipe`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &tracking.Message{From: mail.Address{Address: "a@app.test"}, Subject: "x", HTML: "<p>x"}
			tt.change(m)
			_, err := newTracker(t, &tracking.Options{Sink: discard}).Compile(m)
			require.ErrorContains(t, err, "tracking: compile: ")
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func typed(media string) tracking.Part {
	p := tracking.BytesPart("a", []byte("x"))
	p.Type = media
	return p
}

func TestCompileJoinsFaults(t *testing.T) {
	t.Parallel()
	_, err := newTracker(t, nil).Compile(&tracking.Message{ListID: "a b"})
	require.ErrorContains(t, err, "has no @")
	require.ErrorContains(t, err, "neither HTML nor Text")
	require.ErrorContains(t, err, "ListID")
}

func TestParts(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	m := &tracking.Message{From: mail.Address{Address: "a@app.test"}, Text: "x", Parts: []tracking.Part{
		tracking.FilePart(fstest.MapFS{"docs/lista.csv": {Data: []byte("a,b\n ñ \r\nc\rd \n")}}, "docs/lista.csv"),
		tracking.ReaderPart("nota", strings.NewReader("Hola, esto es texto.")),
		tracking.BytesPart("datos.bin", []byte{0, 1, 2}),
		tracking.BytesPart("chino.txt", []byte(strings.Repeat("秋の新着", 50))),
	}}
	first := render(t, tracker, compile(t, tracker, m), recipient())
	require.Equal(t, string(first), string(render(t, tracker, compile(t, tracker, m), recipient())), "compiled again")
	_, parts := leaves(t, first)
	require.Equal(t, []string{"text/plain", "text/csv", "text/plain", "application/octet-stream", "text/plain"}, contentTypes(parts))
	require.Equal(t, "a,b\n ñ \r\nc\rd \n", parts[1].body)
	require.Equal(t, "Hola, esto es texto.", parts[2].body)
	require.Equal(t, "\x00\x01\x02", parts[3].body)
	require.Equal(t, strings.Repeat("秋の新着", 50), parts[4].body)
	require.Contains(t, string(first), "filename=\"lista.csv\"")
}

func TestStructure(t *testing.T) {
	t.Parallel()
	logo := tracking.BytesPart("logo.png", onePixel).Inline("logo")
	for _, tt := range []struct {
		name string
		m    tracking.Message
		want string
	}{
		{"text", tracking.Message{Text: "x"}, "text/plain"},
		{"HTML", tracking.Message{HTML: "x"}, "alternative(text/plain text/html)"},
		{"inline", tracking.Message{HTML: "x", Parts: []tracking.Part{logo}}, "alternative(text/plain related(text/html image/png))"},
		{"AMP and calendar", tracking.Message{HTML: "x", AMP: "y", Calendar: "z"}, "alternative(text/plain text/x-amp-html text/html text/calendar)"},
		{"attached", tracking.Message{Text: "x", Parts: []tracking.Part{tracking.BytesPart("a.pdf", nil)}}, "mixed(text/plain application/pdf)"},
		{
			"all", tracking.Message{HTML: "x", Calendar: "z", Parts: []tracking.Part{tracking.BytesPart("a.pdf", nil), logo}},
			"mixed(alternative(text/plain related(text/html image/png) text/calendar) application/pdf)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.From.Address = "a@app.test"
			tracker := newTracker(t, nil)
			require.Equal(t, tt.want, structure(t, render(t, tracker, compile(t, tracker, &tt.m), recipient())))
		})
	}
}

func TestTextAloneEndsItsLine(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	for text, want := range map[string]string{"Hola": "Hola\r\n", "Hola\n": "Hola\r\n", "Hola {{name}}": "Hola Ana\r\n", "{{name}}\n": "Ana\r\n"} {
		got := render(t, tracker, compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, Text: text}), recipient("name", "Ana"))
		_, parts := leaves(t, got)
		require.Equal(t, want, parts[0].body)
		require.True(t, strings.HasSuffix(string(got), "\r\n"))
		require.False(t, strings.HasSuffix(string(got), "=\r\n"))
	}
}

func TestCalendarMethod(t *testing.T) {
	t.Parallel()
	for calendar, want := range map[string]string{
		"BEGIN:VCALENDAR\r\nMETHOD:CANCEL\r\n": "method=CANCEL", "method:reply\n": "method=REPLY", "": "", "METHOD:x; y\n": "method=PUBLISH", "x": "method=PUBLISH",
	} {
		tracker := newTracker(t, nil)
		got := string(render(t, tracker, compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, Text: "x", Calendar: calendar}), recipient()))
		require.Contains(t, got, want, calendar)
	}
}

func TestInternationalAddresses(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	for _, tt := range []struct {
		from, to, wantFrom, wantTo string
		utf8                       bool
	}{
		{"a@ñandú.example", "b@例え.example", "a@xn--and-6ma2c.example", "b@xn--r8jz45g.example", false},
		{"a@app.test", "ñ@例え.example", "a@app.test", "ñ@xn--r8jz45g.example", true},
		{"ñ@app.test", "b@app.test", "ñ@app.test", "b@app.test", true},
	} {
		p := compile(t, tracker, &tracking.Message{From: mail.Address{Name: "Ñ", Address: tt.from}, Text: "x"})
		r := recipient()
		r.To.Address = tt.to
		got, envelope, err := p.Append(nil, r)
		require.NoError(t, err)
		require.Equal(t, tt.utf8, envelope.UTF8)
		require.Equal(t, tt.to, envelope.Recipient)
		require.Contains(t, string(got), "<"+tt.wantFrom+">\r\n")
		require.Contains(t, string(got), "<"+tt.wantTo+">\r\n")
		require.True(t, strings.HasSuffix(envelope.MessageID, tt.wantFrom[strings.Index(tt.wantFrom, "@"):]), envelope.MessageID)
	}
}

func TestUTM(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	utm := []tracking.Param{{Name: "utm_source", Value: "boletín"}, {Name: "utm_medium", Value: "email"}}
	for _, tt := range []struct{ in, want string }{
		{"https://a.test/", "https://a.test/?utm_source=bolet%C3%ADn&utm_medium=email"},
		{"https://a.test/?", "https://a.test/?utm_source=bolet%C3%ADn&utm_medium=email"},
		{"https://a.test/?b=%2F+x&#frag?x", "https://a.test/?b=%2F+x&utm_source=bolet%C3%ADn&utm_medium=email#frag?x"},
		{"https://a.test/?utm_source=own", "https://a.test/?utm_source=own&utm_medium=email"},
		{"https://a.test/?utm_source&xutm_medium=1", "https://a.test/?utm_source&xutm_medium=1&utm_medium=email"},
	} {
		html := `<a href="` + strings.ReplaceAll(tt.in, "&", "&amp;") + `">x</a>`
		p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: html, UTM: utm})
		_, parts := leaves(t, render(t, tracker, p, recipient()))
		require.Equal(t, []string{tt.want}, followed(t, tracker, []byte(parts[1].body)))
		off := recipient()
		off.Policy = &tracking.Policy{Opens: tracking.Off, Clicks: tracking.Off}
		_, parts = leaves(t, render(t, tracker, p, off))
		require.Equal(t, `<a href="`+strings.ReplaceAll(tt.want, "&", "&amp;")+`">x</a>`, parts[1].body)
	}
}

func TestTextLinks(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	const text = "Mira (https://a.test/x?y=1&z=2), https://b.test/{{id}}. HTTP://c.test/a_(b)! https://{% x %}\nftp://d.test/ https:// https://e.test/\n"
	m := &tracking.Message{From: mail.Address{Address: "a@app.test"}, Text: text, TextLinks: true}
	_, parts := leaves(t, render(t, tracker, compile(t, tracker, m), recipient("id", "7 7")))
	links := regexpClick.FindAllString(parts[0].body, -1)
	var page strings.Builder
	for _, l := range links {
		page.WriteString(`<a href="` + l + `">`)
	}
	require.Equal(t, []string{"https://a.test/x?y=1&z=2", "https://b.test/7%207", "HTTP://c.test/a_(b)", "https://e.test/"}, followed(t, tracker, []byte(page.String())))
	require.Equal(t, "Mira (X), X. X! https://{% x %}\r\nftp://d.test/ https:// X\r\n", regexpClick.ReplaceAllString(parts[0].body, "X"))

	m.TextLinks = false
	_, parts = leaves(t, render(t, tracker, compile(t, tracker, m), recipient("id", "7 7")))
	require.Equal(t, strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\r\n"), "{{id}}", "7%207"), parts[0].body)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	const html = `<a href="https://a.test/?a&amp;b&sect">x</a>`
	for _, tt := range []struct {
		name                        string
		tracker, message, recipient tracking.Policy
		opens, clicks               bool
	}{
		{"default", tracking.Policy{}, tracking.Policy{}, tracking.Policy{}, true, true},
		{"tracker off", tracking.Policy{Opens: tracking.Off, Clicks: tracking.Off}, tracking.Policy{Clicks: tracking.Full}, tracking.Policy{Opens: tracking.Full}, false, false},
		{"message without opens", tracking.Policy{}, tracking.Policy{Opens: tracking.Off}, tracking.Policy{}, false, true},
		{"recipient without clicks", tracking.Policy{}, tracking.Policy{}, tracking.Policy{Clicks: tracking.Off}, true, false},
		{"anonymous", tracking.Policy{}, tracking.Policy{}, tracking.Policy{Opens: tracking.Anonymous, Clicks: tracking.Anonymous}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracker := newTracker(t, &tracking.Options{Policy: tt.tracker})
			p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: html, Policy: tt.message})
			r := recipient()
			r.Policy = &tt.recipient
			_, parts := leaves(t, render(t, tracker, p, r))
			require.Equal(t, tt.opens, regexpPixel.MatchString(parts[1].body))
			require.Equal(t, tt.clicks, regexpClick.MatchString(parts[1].body))
			if !tt.clicks {
				require.Contains(t, parts[1].body, html)
			}
			other := recipient()
			other.Policy, other.ID = r.Policy, tracking.NewID()
			_, others := leaves(t, render(t, tracker, p, other))
			require.Equal(t, tt.name == "anonymous" || tt.name == "tracker off", parts[1].body == others[1].body)
		})
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	p := compile(t, newTracker(t, nil), &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: `<a href="https://a.test/">1</a>` +
		`<a href="mailto:a@a.test">2</a><a data-no-track href="https://b.test/">3</a><a href="https://t.example.com/u/x">4</a>` +
		`<!--[if mso]><v:rect href="https://c.test/"><![endif]--><a href="https://d.test/*|ID|*">5</a><a href="https://e.test/` + strings.Repeat("x", 2000) + `">6</a>`})
	skipped := map[string]string{}
	for i, l := range p.Links() {
		require.Equal(t, i, l.Index)
		skipped[l.URL[:min(16, len(l.URL))]] = fmt.Sprint(l.Element, " ", l.Conditional, " ", l.Skipped)
	}
	require.Equal(t, map[string]string{
		"https://a.test/": "a false ", "mailto:a@a.test": "a false not an absolute http or https URL", "https://b.test/": "a false data-no-track",
		"https://t.exampl": "a false own URL", "https://c.test/": "v:rect true ", "https://d.test/*": "a false holds a template marker", "https://e.test/x": "a false URL too long",
	}, skipped)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	p := compile(t, tracker, &tracking.Message{
		From: mail.Address{Address: "a@app.test"}, Text: "x", Campaign: "c", Stream: "s", Tenant: "t", Tags: []string{"uno"}, Meta: map[string]string{"k": "v"},
	})
	stored, err := p.MarshalBinary()
	require.NoError(t, err)
	again, err := tracker.UnmarshalTemplate(stored)
	require.NoError(t, err)
	for _, p := range []*tracking.Template{p, again} {
		require.Equal(t, []string{"c", "s", "t"}, []string{p.Campaign(), p.Stream(), p.Tenant()})
		require.Equal(t, []string{"uno"}, p.Tags())
		require.Equal(t, map[string]string{"k": "v"}, p.Meta())
		require.Len(t, p.Mailing(), 16)
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, &tracking.Options{ReturnPath: "bounce.example.com"})
	m := &tracking.Message{From: mail.Address{Address: "a@app.test"}, Sender: &mail.Address{Address: "envios@app.test"}, Text: "x"}
	_, envelope, err := compile(t, tracker, m).Append(nil, &tracking.Recipient{To: mail.Address{Address: "b@b.test"}})
	require.NoError(t, err)
	require.False(t, envelope.ID.IsZero())
	require.Equal(t, envelope.ID.Time(), envelope.Date)
	for _, s := range []string{envelope.ReturnPath, envelope.MessageID} {
		id, err := tracker.Identify(s)
		require.NoError(t, err)
		require.Equal(t, envelope.ID, id)
	}
	_, envelope, err = compile(t, newTracker(t, nil), m).Append(nil, recipient())
	require.NoError(t, err)
	require.Equal(t, "envios@app.test", envelope.ReturnPath)
}

func ExampleTracker_Compile() {
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	if err != nil {
		panic(err)
	}
	template, err := tracker.Compile(&tracking.Message{
		From:    mail.Address{Name: "Tienda", Address: "hola@example.com"},
		Subject: "Hola, {{name}}",
		HTML:    `<p>Hola, {{name}}: <a href="https://example.com/?n={{name}}">novedades</a></p>`,
	})
	if err != nil {
		panic(err)
	}
	raw, envelope, err := template.Append(nil, &tracking.Recipient{
		To: mail.Address{Address: "ana@example.net"}, Fields: map[string]string{"name": "Ana & Cía"},
	})
	if err != nil {
		panic(err)
	}
	message, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		panic(err)
	}
	fmt.Println(envelope.Recipient, template.Fields(), template.Links()[0].URL)
	fmt.Println(message.Header.Get("Subject"))
	_, _, err = template.Append(nil, &tracking.Recipient{To: mail.Address{Address: "ana@example.net"}})
	fmt.Println(errors.Is(err, tracking.ErrBadRecipient), err)
	// Output:
	// ana@example.net [name] https://example.com/?n={{name}}
	// =?utf-8?q?Hola=2C_Ana_=26_C=C3=ADa?=
	// true tracking: recipient cannot be rendered: ana@example.net has no value for field "name"
}
