package tracking_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"image"
	_ "image/png"
	"net/mail"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// judge runs the command in an environment variable on files, and returns what it
// prints.
func judge(t *testing.T, variable string, args ...string) string {
	t.Helper()
	command := strings.Fields(peer(t, variable))
	out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// sample is a message with all that a message can have, for the domain of the
// judges.
func sample() *tracking.Message {
	return &tracking.Message{
		From: mail.Address{Name: "Tienda Ñandú, S.L.", Address: "hola@app.test"}, ReplyTo: []mail.Address{{Name: "Ayuda", Address: "ayuda@app.test"}},
		Subject: "Novedades de otoño para {{name}}: jerséis, camisas y todo lo demás que hace falta cuando llega el frío",
		HTML: `<!DOCTYPE html><html lang="es"><head><meta charset="utf-8"><title>Novedades</title></head><body style="font-family:sans-serif">` +
			strings.Repeat("<p>Hola {{name}}, la colección de otoño llega con más de cien artículos. <a href=\"https://tienda.app.test/?a=1&amp;b={{code}}\">Ver los artículos</a></p>\n", 20) +
			`<p><img src="cid:logo" alt="Logo" width="1" height="1"></p><p>Avenida del Mar 1, Vigo. <a href="{{unsubscribe}}">Darse de baja</a></p></body></html>` + "\n",
		Calendar: "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Ñ//ES\nMETHOD:REQUEST\nEND:VCALENDAR\n",
		Header:   textproto.MIMEHeader{"Organization": {"Tienda Ñandú"}, "X-Ref": {"{{code}}"}},
		ListID:   "novedades.app.test", UnsubscribeMail: "baja@app.test", Campaign: "otono", Stream: "news", Tenant: "tienda",
		Parts: []tracking.Part{
			tracking.BytesPart("año 2026, factura con un nombre largo que no cabe en una sola línea.csv", []byte("uno,dos\n")),
			tracking.BytesPart("informe \"final\".pdf", bytes.Repeat([]byte("%PDF-1.7\n"), 500)),
			tracking.BytesPart("logo.png", onePixel).Inline("logo"),
		},
	}
}

var onePixel, _ = hex.DecodeString("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0500f00050601a05d9a2d6b0000000049454e44ae426082")

// sampleFile renders the sample to a file, for now.
func sampleFile(t *testing.T, m *tracking.Message) (path string, raw []byte) {
	t.Helper()
	tracker, err := tracking.New("https://t.app.test", testKeys, &tracking.Options{Sink: discard, FeedbackSender: "franqueo1", ReturnPath: "bounces.app.test"})
	require.NoError(t, err)
	r := recipient("name", "Lucía", "code", "A 1")
	r.To.Address = "lucia@postfix.test"
	r.Date = time.Now().UTC().Truncate(time.Second)
	raw = render(t, tracker, compile(t, tracker, m), r)
	path = filepath.Join(t.TempDir(), "sample.eml")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path, raw
}

// TestReaders has another reader decode what we compose. The command
// FRANQUEO_MIME_ORACLE takes a file and prints a JSON object with the SHA-256 of
// every part; it fails on any defect.
func TestReaders(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_MIME_ORACLE")
	path, raw := sampleFile(t, sample())
	var read struct {
		Subject string
		Defects []string
		Parts   []struct{ Type, Name, SHA, CTE string }
	}
	require.NoError(t, json.Unmarshal([]byte(judge(t, "FRANQUEO_MIME_ORACLE", path)), &read))
	require.Empty(t, read.Defects)
	require.Equal(t, "Novedades de otoño para Lucía: jerséis, camisas y todo lo demás que hace falta cuando llega el frío", read.Subject)
	_, ours := leaves(t, raw)
	i := 0
	for _, p := range read.Parts {
		if p.SHA == "" {
			continue // a multipart
		}
		sum := sha256.Sum256([]byte(ours[i].body))
		require.Equal(t, ours[i].contentType, p.Type)
		require.Equal(t, ours[i].name, p.Name)
		require.Equal(t, hex.EncodeToString(sum[:])[:len(p.SHA)], p.SHA, p.Type)
		i++
	}
	require.Len(t, ours, i)
}

// TestReadersCorpus does the same for the HTML of real mail.
func TestReadersCorpus(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_MIME_ORACLE")
	tracker := newTracker(t, nil)
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			source = bytes.ReplaceAll(source, []byte("{{"), []byte("(("))
			p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: string(source)})
			raw := render(t, tracker, p, recipient())
			path := filepath.Join(t.TempDir(), "page.eml")
			require.NoError(t, os.WriteFile(path, raw, 0o600))
			_, ours := leaves(t, raw)
			sum := sha256.Sum256([]byte(ours[1].body))
			require.Contains(t, judge(t, "FRANQUEO_MIME_ORACLE", path), hex.EncodeToString(sum[:6]))
		})
	}
}

// TestSpamFilters has spam filters score what we compose. The command
// FRANQUEO_SPAM_ORACLE takes a file and prints scores and rules.
func TestSpamFilters(t *testing.T) {
	peer(t, "FRANQUEO_SPAM_ORACLE")
	path, _ := sampleFile(t, sample())
	t.Setenv("FROM", "hola@app.test") // the envelope that the judge assumes
	out := judge(t, "FRANQUEO_SPAM_ORACLE", path)
	require.Regexp(t, `spamassassin: -?0\.0/`, out)
	require.Contains(t, out, "SCORE ")
	for line := range strings.Lines(out) {
		if points, rule, ok := strings.Cut(strings.TrimSpace(line), " "); ok && regexp.MustCompile(`^[A-Z_0-9]+$`).MatchString(rule) {
			n, err := strconv.ParseFloat(points, 64)
			require.NoError(t, err)
			require.LessOrEqual(t, n, 0.0, rule)
		}
	}
}

// TestSignatures has other implementations verify what we compose, when it is
// signed with the fields that RFC 8058 asks for. FRANQUEO_DKIM_ORACLE and
// FRANQUEO_DKIM_KEYS are as for package smtp.
func TestSignatures(t *testing.T) {
	t.Parallel()
	folder := peer(t, "FRANQUEO_DKIM_KEYS")
	path, raw := sampleFile(t, sample())
	data, err := os.ReadFile(filepath.Join(folder, "s1.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	require.NoError(t, err)
	var signed bytes.Buffer
	require.NoError(t, dkim.Sign(&signed, bytes.NewReader(raw), &dkim.SignOptions{
		Domain: "app.test", Selector: "s1", Signer: key.(crypto.Signer),
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}))
	require.NoError(t, os.WriteFile(path, signed.Bytes(), 0o600))
	verdicts := judge(t, "FRANQUEO_DKIM_ORACLE", path)
	for _, want := range []string{"signature ok", "app.test/s1/rsa-sha256=pass", "app.test/rsa-sha256:pass aligned"} {
		require.Contains(t, verdicts, want)
	}
	require.Regexp(t, regexp.MustCompile(`(?is)DKIM-Signature:.*h=[^;]*List-Unsubscribe-Post`), signed.String())
}

// TestLooksTheSame compares screenshots before and after rewriting. The command
// FRANQUEO_SHOT_ORACLE takes an HTML file, the name of a PNG and a width.
func TestLooksTheSame(t *testing.T) {
	peer(t, "FRANQUEO_SHOT_ORACLE")
	tracker := newTracker(t, nil)
	for name, source := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			source = bytes.ReplaceAll(source, []byte("{{"), []byte("(("))
			p := compile(t, tracker, &tracking.Message{From: mail.Address{Address: "a@app.test"}, HTML: string(source)})
			_, parts := leaves(t, render(t, tracker, p, recipient()))
			different := -1
			for try := 0; different != 0 && try < 3; try++ { // a busy browser may take a picture before the page is whole
				before, after := screenshot(t, string(source)), screenshot(t, parts[1].body)
				require.Equal(t, before.Bounds(), after.Bounds())
				different = difference(before, after)
			}
			require.Zero(t, different, "pixels differ, in three pictures of each")
		})
	}
}

func screenshot(t *testing.T, page string) image.Image {
	t.Helper()
	folder := t.TempDir()
	file, shot := filepath.Join(folder, "page.html"), filepath.Join(folder, "page.png")
	require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
	judge(t, "FRANQUEO_SHOT_ORACLE", file, shot, strconv.Itoa(700))
	data, err := os.ReadFile(shot)
	require.NoError(t, err)
	picture, _, err := image.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	return picture
}

// difference counts the pixels that differ.
func difference(a, b image.Image) int {
	n := 0
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			if a.At(x, y) != b.At(x, y) {
				n++
			}
		}
	}
	return n
}
