package tracking_test

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// sound is a message that no rule is against.
func sound() *tracking.Message {
	return &tracking.Message{
		From: mail.Address{Name: "Tienda", Address: "hola@news.example.com"}, Subject: "Novedades",
		HTML: `<p>Hola</p><a href="https://shop.example.com/">ver</a><a href="{{unsubscribe}}">darse de baja</a>`,
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		opts   *tracking.Options
		change func(m *tracking.Message)
		want   []string
	}{
		{"sound", nil, func(*tracking.Message) {}, nil},
		{"transactional", &tracking.Options{}, func(m *tracking.Message) { m.Stream = tracking.Transactional; m.HTML = "<p>Hola" }, nil},
		{"no one-click", &tracking.Options{}, func(m *tracking.Message) { m.HTML = "<p>Hola<a href=mailto:baja@example.com>baja</a>" }, []string{"one-click-missing"}},
		{"no visible link", nil, func(m *tracking.Message) { m.HTML = "<p>Hola" }, []string{"unsubscribe-link-missing"}},
		{"free mail", nil, func(m *tracking.Message) { m.From.Address = "tienda@gmail.com" }, []string{"from-free-mail", "link-host-unaligned"}},
		{"misleading name", nil, func(m *tracking.Message) { m.From.Name = "banco@banco.example" }, []string{"from-name-address"}},
		{"no name", nil, func(m *tracking.Message) { m.From.Name = "" }, []string{"from-name-missing"}},
		{
			"return path elsewhere", &tracking.Options{Sink: discard, ReturnPath: "bounces.esp.example"}, func(*tracking.Message) {},
			[]string{"return-path-unaligned"},
		},
		{"no subject", nil, func(m *tracking.Message) { m.Subject = "" }, []string{"subject-empty"}},
		{"long subject", nil, func(m *tracking.Message) { m.Subject = strings.Repeat("ñ", 151) }, []string{"subject-long"}},
		{"markers", nil, func(m *tracking.Message) { m.Subject = "Hola *|FNAME|*"; m.Text = "{{#if x}}" }, []string{"marker-left", "marker-left"}},
		{"Latin-1", nil, func(m *tracking.Message) { m.HTML += "a\xf1o" }, []string{"not-utf8"}},
		{"clipped", nil, func(m *tracking.Message) { m.HTML += strings.Repeat("<p>Hola</p>\n", 9000) }, []string{"html-clipped"}},
		{"images alone", nil, func(m *tracking.Message) {
			m.HTML = `<a href="{{unsubscribe}}"><img src="https://shop.example.com/a.png"></a>`
		}, []string{"text-empty"}},
		{"http", nil, func(m *tracking.Message) { m.HTML += `<a href="http://shop.example.com/">ver</a>` }, []string{"http-link"}},
		{"shortener", nil, func(m *tracking.Message) { m.HTML += `<a href="https://bit.ly/x">ver</a>` }, []string{"link-shortener"}},
		{"URL as text", nil, func(m *tracking.Message) {
			m.HTML += `<a href="https://shop.example.com/"><b>www.shop.example.com</b></a>`
		}, []string{"link-text-url"}},
		{"script and form", nil, func(m *tracking.Message) {
			m.HTML += `<script>x</script><form></form><script type="application/ld+json">{}</script>`
		}, []string{"active-content", "active-content"}},
		{"large image", nil, func(m *tracking.Message) {
			m.Parts = []tracking.Part{tracking.BytesPart("a.png", bytes.Repeat([]byte("x"), 1<<20+1)).Inline("a")}
		}, []string{"image-large"}},
		{"large message", nil, func(m *tracking.Message) {
			m.Parts = []tracking.Part{tracking.BytesPart("a.zip", bytes.Repeat([]byte("x"), 20<<20))}
		}, []string{"message-large"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opts := tt.opts
			if opts == nil {
				opts = &tracking.Options{Sink: discard}
			}
			m := sound()
			tt.change(m)
			require.Equal(t, tt.want, rules(compile(t, newTracker(t, opts), m).Lint()))
		})
	}
}

func TestLintRaw(t *testing.T) {
	t.Parallel()
	p, err := newTracker(t, nil).CompileRaw([]byte("From: Tienda <hola@example.com>\r\nSubject: a\r\nSubject: b\r\nContent-Type: text/html\r\n\r\n<p>Hola"))
	require.NoError(t, err)
	require.Equal(t, []string{"one-click-missing", "unsubscribe-link-missing", "duplicate-field", "text-missing"}, rules(p.Lint()))
}

func rules(list []tracking.Finding) []string {
	var names []string
	for _, f := range list {
		names = append(names, f.Rule)
	}
	return names
}

func ExampleTemplate_Lint() {
	tracker, err := tracking.New("https://t.example.com", []tracking.Key{tracking.NewKey(1)}, nil)
	if err != nil {
		panic(err)
	}
	template, err := tracker.Compile(&tracking.Message{
		From: mail.Address{Name: "Tienda", Address: "tienda@gmail.com"}, Subject: "Novedades", Text: "Hola", Stream: tracking.Transactional,
	})
	if err != nil {
		panic(err)
	}
	for _, finding := range template.Lint() {
		fmt.Println(finding)
	}
	// Output: refused: from-free-mail: the DMARC policy of gmail.com lets no one else send its mail: use a domain of your own
}
