package smtp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// extensionSets are the ways in which a message can go out.
var extensionSets = map[string][]string{
	"DATA":                  {},
	"pipelined DATA":        {"PIPELINING"},
	"BDAT":                  {"CHUNKING"},
	"pipelined BDAT":        {"PIPELINING", "CHUNKING"},
	"pipelined BDAT, 8 bit": {"PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"},
}

// readerContent is content that open reads.
type readerContent struct {
	size int64
	open func() (io.ReadCloser, error)
}

func (c readerContent) Open() (io.ReadCloser, error) { return c.open() }
func (c readerContent) Size() int64                  { return c.size }

// long is a message of about this many octets.
func long(octets int) string {
	const line = ".Esta frase empieza con un punto y no termina nunca de contar lo mismo.\r\n"
	return hello + strings.Repeat(line, octets/len(line)+1)
}

// inbox keeps what servers took.
type inbox struct {
	mu       sync.Mutex
	messages []string
}

func (b *inbox) answer(command, body string) string {
	if command == "." {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.messages = append(b.messages, body)
	}
	return ""
}

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages
}

func TestBodyArrivesWhole(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var box inbox
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				p.serve(box.answer)
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			path := filepath.Join(t.TempDir(), "mensaje.eml")
			big := long(1 << 20)
			require.NoError(t, os.WriteFile(path, []byte(big), 0o600))
			texts := []string{hello, long(10 << 10), long(255 << 10), big}
			for _, text := range texts {
				_, err := relay.Send(t.Context(), letter(text))
				require.NoError(t, err)
			}
			fromFile := letter("")
			fromFile.Content = smtp.File(path)
			_, err := relay.Send(t.Context(), fromFile)
			require.NoError(t, err)
			require.NoError(t, relay.Shutdown(t.Context()))
			require.Equal(t, append(texts, big), box.all())
		})
	}
}

// TestTruncatedBody: a body that fails, panics, changes or is cancelled at any
// octet leaves the server without an end of the message, and the connection closed.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	text := long(280 << 10)
	errDisk := errors.New("disk failed")
	for _, fault := range []string{"error", "panic", "cancel", "shorter", "longer"} {
		for _, at := range []int{0, 1, len(hello), 70_000, 270_000, len(text) - 1} {
			for name, extensions := range extensionSets {
				t.Run(fmt.Sprint(fault, " at ", at, " in ", name), func(t *testing.T) {
					t.Parallel()
					var box inbox
					server := newWireServer(t, func(p *wire) {
						p.greet(extensions...)
						p.serve(box.answer)
					})
					relay := newRelay(t, server, smtp.RelayOptions{})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					opened := 0
					m := letter("")
					m.Content = readerContent{int64(len(text)), func() (io.ReadCloser, error) {
						if opened++; opened == 1 { // to look at it
							return io.NopCloser(strings.NewReader(text)), nil
						}
						return io.NopCloser(io.MultiReader(strings.NewReader(text[:at]), faulty(func() (int, error) {
							switch fault {
							case "panic":
								panic(errDisk)
							case "cancel":
								cancel()
								<-ctx.Done()
								return 0, ctx.Err()
							case "shorter":
								return 0, io.EOF
							}
							return 0, errDisk
						}))), nil
					}}
					if fault == "longer" {
						m.Content = readerContent{-1, func() (io.ReadCloser, error) {
							opened++
							return io.NopCloser(strings.NewReader(text + strings.Repeat("otra\r\n", opened))), nil
						}}
					}
					if fault == "panic" {
						require.PanicsWithError(t, "disk failed", func() { _, _ = relay.Send(ctx, m) })
					} else {
						result, err := relay.Send(ctx, m)
						require.Error(t, err)
						require.Contains(t, []string{"deferred", "not tried"}, statuses(result))
						require.NotErrorIs(t, err, smtp.ErrIndeterminate)
					}
					require.NoError(t, relay.Close())
					server.wg.Wait()
					require.Empty(t, box.all(), "no message was ended")
					require.Zero(t, relay.Stats().Open)
				})
			}
		}
	}
}

// faulty is a reader.
type faulty func() (int, error)

func (f faulty) Read([]byte) (int, error) { return f() }

func TestContentThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) { t.Error("no connection was needed") })
	relay := newRelay(t, server, smtp.RelayOptions{})
	m := letter("")
	m.Content = smtp.File(filepath.Join(t.TempDir(), "no existe"))
	result, err := relay.Send(t.Context(), m)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, "deferred", statuses(result))
	require.Zero(t, server.dialed())
}

func TestRefusedLocally(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message *smtp.Message
		want    error
	}{
		"bare CR":              {letter(hello + "a\rb\r\n"), smtp.ErrBadContent},
		"CR CR LF":             {letter(hello + "a\r\r\n"), smtp.ErrBadContent},
		"NUL":                  {letter(hello + "a\x00b\r\n"), smtp.ErrBadContent},
		"NUL in the header":    {letter("From: a\x00\r\n\r\n"), smtp.ErrBadContent},
		"CR in the header":     {letter("From: a\rBcc: b\r\n\r\n"), smtp.ErrBadContent},
		"999 octets":           {letter(hello + strings.Repeat("a", 999) + "\r\n"), smtp.ErrLineTooLong},
		"999 octets, no end":   {letter(hello + strings.Repeat("a", 999)), smtp.ErrLineTooLong},
		"endless line":         {letter(hello + strings.Repeat("a", 1<<20)), smtp.ErrLineTooLong},
		"long header line":     {letter("X: " + strings.Repeat("a", 996) + "\r\n\r\n"), smtp.ErrLineTooLong},
		"empty":                {letter(""), smtp.ErrBadContent},
		"nothing but Bcc":      {letter("Bcc: eva@example.com"), smtp.ErrBadContent},
		"no header":            {letter("Hola\r\n\r\n"), smtp.ErrBadContent},
		"space in field name":  {letter("Sub ject: a\r\n\r\n"), smtp.ErrBadContent},
		"continuation first":   {letter(" a\r\nFrom: b\r\n\r\n"), smtp.ErrBadContent},
		"mbox line":            {letter("From ana@example.com\r\n\r\n"), smtp.ErrBadContent},
		"Latin 1 in header":    {letter("Subject: a\xf1o\r\n\r\n"), smtp.ErrBadContent},
		"no recipients":        {&smtp.Message{Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadAddress},
		"no content":           {&smtp.Message{To: []smtp.Recipient{{Addr: "a@example.com"}}}, smtp.ErrBadContent},
		"parameter":            {letter(hello, "a@b> SIZE=1"), smtp.ErrBadAddress},
		"sender":               {&smtp.Message{From: "a>\r\nRSET", To: letter("").To, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadAddress},
		"line in envelope ID":  {&smtp.Message{EnvelopeID: "a\r\nb", To: letter("").To, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadContent},
		"long envelope ID":     {&smtp.Message{EnvelopeID: strings.Repeat("+", 50), To: letter("").To, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadContent},
		"unknown RET":          {&smtp.Message{Return: "ALL X=Y", To: letter("").To, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadContent},
		"original recipient":   {&smtp.Message{To: []smtp.Recipient{{Addr: "a@example.com", ORCPT: "a\r\nb"}}, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadAddress},
		"never and sometimes":  {&smtp.Message{To: []smtp.Recipient{{Addr: "a@example.com", Notify: smtp.NotifyNever | smtp.NotifyDelay}}, Content: smtp.Bytes([]byte(hello))}, smtp.ErrBadContent},
		"second recipient bad": {letter(hello, "a@example.com", "b@"), smtp.ErrBadAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { t.Error("no connection was needed") })
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), c.message)
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, err, smtp.ErrPermanent)
			require.Len(t, result.Recipients, len(c.message.To))
			for _, o := range result.Recipients {
				require.Equal(t, smtp.Rejected, o.Status)
			}
			require.Zero(t, server.dialed())
		})
	}
}

func TestLinesOf998Octets(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var box inbox
			server := newWireServer(t, func(p *wire) { p.greet(extensions...); p.serve(box.answer) })
			relay := newRelay(t, server, smtp.RelayOptions{})
			text := hello + strings.Repeat("a", 998) + "\r\n." + strings.Repeat("b", 997) + "\r\n"
			_, err := relay.Send(t.Context(), letter(text))
			require.NoError(t, err)
			require.Equal(t, []string{text}, box.all())
		})
	}
}

func TestBccIsLeftOut(t *testing.T) {
	t.Parallel()
	const text = "From: ana@example.com\r\nBCC: luis@example.com,\r\n\teva@example.com\r\nSubject: Hola\r\n" +
		"resent-bcc:\r\n x@example.com\r\n\r\nBcc: esto es texto\r\n"
	const want = "From: ana@example.com\r\nSubject: Hola\r\n\r\nBcc: esto es texto\r\n"
	var box inbox
	var signed string
	server := newWireServer(t, func(p *wire) { p.greet(); p.serve(box.answer) })
	relay := newRelay(t, server, smtp.RelayOptions{Signer: smtp.SignerFunc(
		func(_ context.Context, _ *smtp.Message, content io.Reader) ([]byte, error) {
			b, err := io.ReadAll(content)
			signed = string(b)
			return []byte("X-Signed: yes\r\n"), err
		})})
	_, err := relay.Send(t.Context(), letter(text))
	require.NoError(t, err)
	require.Equal(t, want, signed)
	require.Equal(t, []string{"X-Signed: yes\r\n" + want}, box.all())
}

func TestSignerThatFails(t *testing.T) {
	t.Parallel()
	for name, signer := range map[string]smtp.SignerFunc{
		"error": func(context.Context, *smtp.Message, io.Reader) ([]byte, error) { return nil, io.ErrNoProgress },
		"half a line": func(context.Context, *smtp.Message, io.Reader) ([]byte, error) {
			return []byte("X-Signed: yes"), nil
		},
		"end of the header": func(context.Context, *smtp.Message, io.Reader) ([]byte, error) {
			return []byte("X-Signed: yes\r\n\r\n"), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { t.Error("no connection was needed") })
			relay := newRelay(t, server, smtp.RelayOptions{Signer: signer})
			result, err := relay.Send(t.Context(), letter(hello))
			require.Error(t, err)
			require.Equal(t, "deferred", statuses(result))
		})
	}
}

// TestSignedStream: what is signed is what goes out, also when it does not fit in
// memory and the signer stops reading early.
func TestSignedStream(t *testing.T) {
	t.Parallel()
	text := long(400 << 10)
	var box inbox
	server := newWireServer(t, func(p *wire) { p.greet(); p.serve(box.answer) })
	var sum int64
	relay := newRelay(t, server, smtp.RelayOptions{Signer: smtp.SignerFunc(
		func(_ context.Context, _ *smtp.Message, content io.Reader) (_ []byte, err error) {
			sum, err = io.Copy(io.Discard, io.LimitReader(content, 300<<10))
			return []byte("X-Signed: yes\r\n"), err
		})})
	m := letter("")
	m.Content = readerContent{-1, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	_, err := relay.Send(t.Context(), m)
	require.NoError(t, err)
	require.EqualValues(t, 300<<10, sum)
	require.Equal(t, []string{"X-Signed: yes\r\n" + text}, box.all())
}

// endings and their readers: how servers of three kinds see the end of a message.
var smuggling = []string{"\n", "\r", "\r\n", "\r\r\n"}

// countMessages says how many messages a server sees in what follows DATA that
// takes these line ends before and after the dot.
func countMessages(stream string, ends []string) int {
	n := 0
	for {
		first := -1
		length := 0
		for _, before := range ends {
			for _, after := range ends {
				mark := before + "." + after
				if i := strings.Index(stream, mark); i >= 0 && (first < 0 || i < first) {
					first, length = i, len(mark)
				}
			}
		}
		if first < 0 {
			return n
		}
		n++
		stream = stream[first+length:]
	}
}

func TestSmuggling(t *testing.T) {
	t.Parallel()
	servers := map[string][]string{
		"strict": {"\r\n"}, "lax about LF": {"\r\n", "\n"}, "lax about CR": {"\r\n", "\r", "\n"},
	}
	for _, before := range smuggling {
		for _, after := range smuggling {
			text := hello + "uno" + before + "." + after + "MAIL FROM:<x@example.com>\r\n"
			t.Run(fmt.Sprintf("%q", before+"."+after), func(t *testing.T) {
				t.Parallel()
				var box inbox
				server := newWireServer(t, func(p *wire) { p.greet(); p.serve(box.answer) })
				relay := newRelay(t, server, smtp.RelayOptions{})
				_, err := relay.Send(t.Context(), letter(text))
				require.NoError(t, relay.Shutdown(t.Context()))
				if err != nil {
					require.ErrorIs(t, err, smtp.ErrBadContent)
					require.Zero(t, server.dialed())
					return
				}
				_, stream, _ := strings.Cut(server.received(0), "DATA\r\n")
				for kind, ends := range servers {
					require.Equal(t, 1, countMessages("\r\n"+stream, ends), "a server that is %s", kind)
				}
				require.Len(t, box.all(), 1)
			})
		}
	}
}

// FuzzBody: whatever goes in, what goes out has no bare CR, no bare LF, no NUL, no
// line that is too long, no end before the end; a server that undoes the dots has
// the message with normal line ends; and reading it in pieces gives the same.
func FuzzBody(f *testing.F) {
	for _, before := range smuggling {
		for _, after := range smuggling {
			f.Add([]byte(hello+"uno"+before+"."+after+"dos"), 7)
		}
	}
	f.Add([]byte("A: b\n\n..\n.\n"), 1)
	f.Add([]byte(hello+"seis 6\r\n1\r\n.23\r\nseis 6\r\n"), 5) // where a line of six would end, another does
	f.Add([]byte("Bcc: b\r\n c\r\nX: y\r\n"), 3)
	f.Add([]byte("\r\n\r\n.\r\n"), 2)
	f.Add([]byte("Bcc:"), 1)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		text, stuffed, err := smtp.Encode(bytes.NewReader(in))
		again, _, againErr := smtp.Encode(&pieceReader{in, max(1, piece%512)})
		inMemory, memStuffed, memErr := smtp.EncodeMemory(in)
		require.Equal(t, err == nil, againErr == nil)
		require.Equal(t, err == nil, memErr == nil)
		if err != nil {
			return
		}
		require.Equal(t, text, again)
		require.Equal(t, text, inMemory)
		require.Equal(t, string(stuffed), string(memStuffed))
		require.NotContains(t, string(text), "\x00")
		require.Equal(t, strings.Count(string(text), "\r\n"), strings.Count(string(text), "\r"))
		require.Equal(t, strings.Count(string(text), "\r\n"), strings.Count(string(text), "\n"))
		require.True(t, bytes.HasSuffix(text, []byte("\r\n")) || len(text) == 0)
		require.NotContains(t, "\r\n"+string(stuffed), "\r\n.\r\n")
		p := &wire{t: t, r: bufio.NewReader(io.MultiReader(bytes.NewReader(stuffed), strings.NewReader(".\r\nrest")))}
		got, ok := p.body()
		require.True(t, ok)
		require.Equal(t, string(text), got)
	})
}

type pieceReader struct {
	b []byte
	n int
}

func (r *pieceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.b)
	r.b = r.b[n:]
	return n, nil
}

// TestMemory: what a message takes does not grow with it.
func TestMemory(t *testing.T) {
	const size = 64 << 20
	text := long(1 << 10)
	for _, extensions := range []string{"PIPELINING CHUNKING", "PIPELINING"} {
		s := newSink(t, strings.Fields(extensions)...)
		relay, err := smtp.NewRelay("smtp://"+s.Addr().String(), nil)
		require.NoError(t, err)
		m := letter("")
		m.Content = readerContent{size, func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(&endless{[]byte(text), 0}, size)), nil
		}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = relay.Send(t.Context(), m)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), extensions)
		require.NoError(t, relay.Close())
	}
}

// endless is a text again and again.
type endless struct {
	text []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}
