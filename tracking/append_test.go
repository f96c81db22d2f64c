package tracking_test

import (
	"bytes"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// newsletter is a message as they are sent: 20 KB of HTML with 12 links and
// accents, merge fields, and a text.
func newsletter() *tracking.Message {
	var page strings.Builder
	page.WriteString("<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Novedades</title></head><body>\n<h1>Hola {{name}}</h1>\n")
	for i := range 12 {
		page.WriteString(`<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;font-family:Helvetica,Arial,sans-serif">` + "\n")
		page.WriteString(`<tr><td style="padding:12px 24px;color:#333333;font-size:16px;line-height:24px"><h2>Artículo ` + string(rune('A'+i)) + "</h2>\n")
		page.WriteString(strings.Repeat("<p style=\"margin:0 0 16px 0\">La colección de otoño llega con más de cien artículos: camisas, jerséis y zapatos para el frío.</p>\n", 9))
		page.WriteString(`<a href="https://tienda.example/articulos/` + string(rune('a'+i)) + `?utm_source=boletin&amp;utm_medium=correo" style="display:inline-block;padding:12px;background:#0055aa">Ver el artículo</a></td></tr></table>` + "\n")
	}
	page.WriteString("</body></html>\n")
	return &tracking.Message{
		From:    mail.Address{Name: "Tienda Ñandú", Address: "hola@tienda.example"},
		Subject: "Novedades de otoño para {{name}}", HTML: page.String(), Campaign: "otono",
	}
}

// corpusTemplates compiles real mail; for each template it also returns the parts.
func corpusTemplates(t testing.TB) (templates []*tracking.Template, contents [][]leaf) {
	t.Helper()
	tracker := newTracker(t, &tracking.Options{ReturnPath: "bounce.example.com", Sink: discard})
	for _, source := range corpus(t) {
		p := compile(t, tracker, &tracking.Message{
			From: mail.Address{Name: "Tienda Ñandú", Address: "hola@tienda.example"}, Subject: "Novedades de otoño para {{name}}",
			HTML: string(bytes.ReplaceAll(source, []byte("{{"), []byte("(("))),
		})
		raw, _, err := p.Append(nil, recipient("name", "Lucía"))
		require.NoError(t, err)
		_, parts := leaves(t, raw)
		templates, contents = append(templates, p), append(contents, parts)
	}
	return templates, contents
}

// BenchmarkAppend holds Append of a whole message against go-message composing the
// same rewritten message.
func BenchmarkAppend(b *testing.B) {
	tracker := newTracker(b, &tracking.Options{ReturnPath: "bounce.example.com", Sink: discard})
	p := compile(b, tracker, newsletter())
	r := recipient("name", "Lucía")
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		dst, _, err := p.Append(nil, r)
		require.NoError(b, err)
		b.SetBytes(int64(len(dst)))
		for b.Loop() {
			dst, _, err = p.Append(dst[:0], r)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Small", func(b *testing.B) { // what every copy costs
		p := compile(b, tracker, &tracking.Message{From: mail.Address{Address: "hola@tienda.example"}, Subject: "Hola", Text: "Hola"})
		b.ReportAllocs()
		dst := make([]byte, 0, 1<<17)
		for b.Loop() {
			if _, _, err := p.Append(dst, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GoMessage", func(b *testing.B) {
		raw, _, err := p.Append(nil, r)
		require.NoError(b, err)
		_, parts := leaves(b, raw)
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		var out bytes.Buffer
		for b.Loop() {
			out.Reset()
			if err := composeByGoMessage(&out, r, parts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAppendCorpus does the same with the HTML of real mail.
func BenchmarkAppendCorpus(b *testing.B) {
	r := recipient("name", "Lucía")
	templates, contents := corpusTemplates(b)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 1<<20)
		for b.Loop() {
			for _, p := range templates {
				if _, _, err := p.Append(dst, r); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("GoMessage", func(b *testing.B) {
		b.ReportAllocs()
		var out bytes.Buffer
		for b.Loop() {
			for _, parts := range contents {
				out.Reset()
				if err := composeByGoMessage(&out, r, parts); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// composeByGoMessage writes the text and the HTML of parts as go-message does.
func composeByGoMessage(w io.Writer, r *tracking.Recipient, parts []leaf) error {
	var h gomail.Header
	h.SetDate(time.Unix(1700000000, 0))
	h.SetAddressList("From", []*gomail.Address{{Name: "Tienda Ñandú", Address: "hola@tienda.example"}})
	h.SetAddressList("To", []*gomail.Address{{Name: r.To.Name, Address: r.To.Address}})
	h.SetSubject("Novedades de otoño para " + r.Fields["name"])
	h.SetMessageID("FgEBi8_laABwAYACAwQFBgcItM-1i_SMYr4FMbx8@tienda.example")
	h.SetText("List-Unsubscribe", "<https://t.example.com/u/FQEBi8_laABwAYACAwQFBgcIJFkD1o99ALHObQsY>")
	h.SetText("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	body, err := gomail.CreateInlineWriter(w, h)
	if err != nil {
		return err
	}
	for _, part := range parts {
		var ph gomail.InlineHeader
		ph.Header = message.Header{}
		ph.SetContentType(part.contentType, map[string]string{"charset": "utf-8"})
		ph.Set("Content-Transfer-Encoding", "quoted-printable")
		pw, err := body.CreatePart(ph)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(pw, part.body); err != nil {
			return err
		}
		if err := pw.Close(); err != nil {
			return err
		}
	}
	return body.Close()
}
