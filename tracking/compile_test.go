package tracking_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// testKeys makes tests deterministic.
var testKeys = []tracking.Key{{ID: 1, Secret: bytes.Repeat([]byte{7}, 32)}}

// testID is of a fixed time, 2023-11-14 22:13:20 UTC.
var testID = tracking.ID{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8}

var discard = tracking.SinkFunc(func(context.Context, []tracking.Event) error { return nil })

func newTracker(t testing.TB, opts *tracking.Options) *tracking.Tracker {
	t.Helper()
	tracker, err := tracking.New("https://t.example.com", testKeys, opts)
	require.NoError(t, err)
	return tracker
}

func compile(t testing.TB, tracker *tracking.Tracker, m *tracking.Message) *tracking.Template {
	t.Helper()
	template, err := tracker.Compile(m)
	require.NoError(t, err)
	return template
}

// render renders p for r, proves that its stored form renders the same, and that
// no line is too long.
func render(t testing.TB, tracker *tracking.Tracker, p *tracking.Template, r *tracking.Recipient) []byte {
	t.Helper()
	got, envelope, err := p.Append(nil, r)
	require.NoError(t, err)
	require.Equal(t, r.ID, envelope.ID)
	stored, err := p.MarshalBinary()
	require.NoError(t, err)
	again, err := tracker.UnmarshalTemplate(stored)
	require.NoError(t, err)
	second, sameEnvelope, err := again.Append([]byte("x"), r)
	require.NoError(t, err)
	require.Equal(t, "x"+string(got), string(second))
	require.Equal(t, envelope, sameEnvelope)
	for line := range bytes.SplitSeq(got, []byte("\r\n")) {
		require.LessOrEqual(t, len(line), 76, "%q", line)
		require.NotContains(t, string(line), "\n")
		require.NotContains(t, string(line), "\r")
	}
	return got
}

// leaf is a decoded part that holds no others.
type leaf struct {
	path, contentType, name, id string
	body                        string
}

// leaves reads a message by go-message.
func leaves(t testing.TB, raw []byte) (message.Header, []leaf) {
	t.Helper()
	entity, err := message.Read(bytes.NewReader(raw))
	require.NoError(t, err)
	var list []leaf
	require.NoError(t, entity.Walk(func(path []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		kind, _, err := e.Header.ContentType()
		if err != nil || strings.HasPrefix(kind, "multipart/") {
			return err
		}
		body, err := io.ReadAll(e.Body)
		_, params, _ := e.Header.ContentDisposition()
		list = append(list, leaf{fmt.Sprint(path), kind, params["filename"], strings.Trim(e.Header.Get("Content-Id"), "<>"), string(body)})
		return err
	}))
	return entity.Header, list
}

func recipient(fields ...string) *tracking.Recipient {
	r := &tracking.Recipient{ID: testID, To: mail.Address{Name: "Lucía Peña", Address: "lucia@cliente.example"}, Fields: map[string]string{}}
	for pair := range slices.Chunk(fields, 2) {
		r.Fields[pair[0]] = pair[1]
	}
	return r
}

func TestCompileWhole(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, &tracking.Options{FeedbackSender: "franqueo1", ReturnPath: "bounce.example.com", Sink: discard})
	p := compile(t, tracker, &tracking.Message{
		From:    mail.Address{Name: "Tienda Ñandú, S.L.", Address: "hola@tienda.example"},
		ReplyTo: []mail.Address{{Address: "ayuda@tienda.example"}},
		Subject: "Hola {{name}}: tu pedido {{order}}",
		HTML: "<html><body style='color:{{color}}'>\n<p>Hola <b>{{name}}</b></p>\n<a href=\"https://tienda.example/?a=1&amp;b=2\">ver</a>" +
			"<a href='https://tienda.example/p/{{order}}?n={{name}}'>pedido</a> <a href={{link}}>otro</a>" +
			"<img src=cid:logo><a href=\"{{unsubscribe}}\">baja</a></body></html>\n",
		Campaign: "otoño", Stream: "news", Tenant: "acme", ListID: "news.tienda.example", UnsubscribeMail: "baja@tienda.example",
		Header: textproto.MIMEHeader{"X-Entity-Ref-Id": {"{{order}}"}, "Organization": {"Tienda Ñandú"}},
		Parts: []tracking.Part{
			tracking.BytesPart("año 2026 — factura con un nombre muy largo que no cabe en una línea.pdf", bytes.Repeat([]byte("%PDF-1.7 "), 100)),
			tracking.BytesPart("logo.png", []byte("\x89PNG\r\n\x1a\n")).Inline("logo"),
		},
		Calendar: "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n",
	})
	require.Equal(t, []string{"color", "link", "name", "order"}, p.Fields())
	r := recipient("name", "Lucía <Ñ>", "order", "A/1 2&3", "color", "red;x", "link", "https://x.example/?q=1&r=2")
	got := render(t, tracker, p, r)
	header, parts := leaves(t, got)
	for name, want := range map[string]string{
		"Subject": "Hola Lucía <Ñ>: tu pedido A/1 2&3", "X-Entity-Ref-Id": "A/1 2&3", "Organization": "Tienda Ñandú",
		"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Date":                  "Tue, 14 Nov 2023 22:13:20 +0000", "Feedback-Id": "oto-o:news:acme:franqueo1",
	} {
		text, err := header.Text(name)
		require.NoError(t, err)
		require.Equal(t, want, text, name)
	}
	require.Equal(t, []string{"text/plain", "text/html", "image/png", "text/calendar", "application/pdf"}, contentTypes(parts))
	require.Equal(t, "año 2026 — factura con un nombre muy largo que no cabe en una línea.pdf", parts[4].name)
	require.Equal(t, strings.Repeat("%PDF-1.7 ", 100), parts[4].body)
	require.Equal(t, "logo", parts[2].id)
	require.Contains(t, parts[1].body, `<body style='color:red\00003Bx'>`)
	require.Contains(t, parts[1].body, "<p>Hola <b>Lucía &lt;Ñ&gt;</b></p>\r\n")
	require.Contains(t, parts[0].body, "Hola Lucía <Ñ>\r\n")
	require.Contains(t, parts[0].body, "<https://tienda.example/p/A%2F1%202%263?n=Luc%C3%ADa%20%3C%C3%91%3E>")
}

func contentTypes(parts []leaf) []string {
	list := []string{}
	for _, p := range parts {
		list = append(list, p.contentType)
	}
	return list
}

// regexpClick and regexpPixel find what compiling puts into HTML.
var (
	regexpClick = regexp.MustCompile(`https://t\.example\.com/c/[A-Za-z0-9_-]+/[A-Za-z0-9_-]{40}`)
	regexpPixel = regexp.MustCompile(`<img src="https://t\.example\.com/o/[A-Za-z0-9_-]{11}/[A-Za-z0-9_-]{40}\.gif" width="1" height="1" alt="" style="display:block;position:absolute;border:0">`)
)

// checkPage proves that the HTML part of a rendered message is source but for one
// pixel and the values of hrefs, and that each of those leads where it led.
func checkPage(t *testing.T, tracker *tracking.Tracker, source, rendered []byte) {
	t.Helper()
	_, parts := leaves(t, rendered)
	got := parts[len(parts)-1].body
	require.Len(t, regexpPixel.FindAllString(got, -1), 1)
	got = regexpPixel.ReplaceAllString(got, "")
	want := strings.ReplaceAll(strings.ReplaceAll(string(source), "\r\n", "\n"), "\n", "\r\n")
	blank := func(tracking.Link) (string, bool) { return "x", true }
	require.Equal(t, string(tracking.Rewrite(nil, []byte(want), blank)), string(tracking.Rewrite(nil, []byte(got), blank)))
	require.Equal(t, destinations([]byte(want)), followed(t, tracker, []byte(got)))
}

func destinations(page []byte) []string {
	var list []string
	tracking.Rewrite(nil, page, func(l tracking.Link) (string, bool) {
		list = append(list, l.URL)
		return "", false
	})
	return list
}

// followed asks the tracker where each link of page leads.
func followed(t *testing.T, tracker *tracking.Tracker, page []byte) []string {
	t.Helper()
	list := destinations(page)
	for i, link := range list {
		require.Regexp(t, regexpClick, link)
		w := httptest.NewRecorder()
		tracker.ServeHTTP(w, httptest.NewRequest(http.MethodGet, link, nil))
		require.Equal(t, http.StatusFound, w.Code)
		list[i] = w.Header().Get("Location")
	}
	return list
}

func TestCompileCorpus(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, nil)
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := tracker.Compile(&tracking.Message{From: mail.Address{Address: "a@tienda.example"}, HTML: string(source)}); err != nil {
				t.Log(err)
			}
			source = bytes.ReplaceAll(source, []byte("{{"), []byte("(("))
			p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@tienda.example"}, HTML: string(source)})
			checkPage(t, tracker, source, render(t, tracker, p, recipient()))
		})
	}
}

// structure writes the types of a message and its parts.
func structure(t *testing.T, raw []byte) string {
	t.Helper()
	entity, err := message.Read(bytes.NewReader(raw))
	require.NoError(t, err)
	return structureOf(t, entity)
}

func structureOf(t *testing.T, e *message.Entity) string {
	t.Helper()
	kind, _, err := e.Header.ContentType()
	require.NoError(t, err)
	subtype, ok := strings.CutPrefix(kind, "multipart/")
	if !ok {
		return kind
	}
	var kids []string
	reader := e.MultipartReader()
	for kid, err := reader.NextPart(); err == nil; kid, err = reader.NextPart() {
		kids = append(kids, structureOf(t, kid))
	}
	return subtype + "(" + strings.Join(kids, " ") + ")"
}
