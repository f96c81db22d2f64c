package smtp_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

var replies = map[string]struct {
	raw  string
	want smtp.Reply
}{
	"plain":              {"250 OK\r\n", smtp.Reply{Code: 250, Lines: []string{"OK"}}},
	"code alone":         {"250\r\n", smtp.Reply{Code: 250}},
	"bare LF":            {"250 OK\n", smtp.Reply{Code: 250, Lines: []string{"OK"}}},
	"enhanced":           {"550 5.1.1 No such user\r\n", smtp.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 1, 1}, Lines: []string{"No such user"}}},
	"enhanced alone":     {"250 2.0.0\r\n", smtp.Reply{Code: 250, Enhanced: smtp.EnhancedCode{2, 0, 0}}},
	"several lines":      {"550-5.7.1 Go\r\n550-5.7.1 away\r\n550 5.7.1 now\r\n", smtp.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 1}, Lines: []string{"Go", "away", "now"}}},
	"enhanced only once": {"550-5.7.1 Go\r\n550 away\r\n", smtp.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 1}, Lines: []string{"Go", "away"}}},
	"an IP address":      {"250 1.2.3.4 hello\r\n", smtp.Reply{Code: 250, Lines: []string{"1.2.3.4 hello"}}},
	"a version":          {"220 3.4.5 server\r\n", smtp.Reply{Code: 220, Lines: []string{"3.4.5 server"}}},
	"long detail":        {"550 5.7.515 Access denied\r\n", smtp.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 515}, Lines: []string{"Access denied"}}},
	"control characters": {"550 a\x1b[31mb\x00c\x07\r\n", smtp.Reply{Code: 550, Lines: []string{"a[31mbc"}}},
	"CR in the text":     {"550 a\rFAKE\r\n", smtp.Reply{Code: 550, Lines: []string{"aFAKE"}}},
	"turned direction":   {"550 a\u202eb\u2028c\r\n", smtp.Reply{Code: 550, Lines: []string{"abc"}}},
	"tab":                {"550 a\tb\r\n", smtp.Reply{Code: 550, Lines: []string{"a b"}}},
	"Latin 1":            {"550 a\xf1o\r\n", smtp.Reply{Code: 550, Lines: []string{"a\ufffdo"}}},
	"UTF-8":              {"550 año\r\n", smtp.Reply{Code: 550, Lines: []string{"año"}}},
}

var noReplies = map[string]string{
	"not SMTP":       "HTTP/1.1 200 OK\r\n",
	"two digits":     "25 OK\r\n",
	"no space":       "250OK\r\n",
	"class 0":        "050 OK\r\n",
	"class 6":        "650 OK\r\n",
	"class 1":        "150 OK\r\n",
	"sign":           "+50 OK\r\n",
	"other code":     "250-a\r\n251 b\r\n",
	"empty line":     "\r\n",
	"long line":      "250 " + strings.Repeat("a", 2100) + "\r\n",
	"endless line":   "250 " + strings.Repeat("a", 1<<20),
	"too many lines": strings.Repeat("250-a\r\n", 200) + "250 b\r\n",
	"too large":      strings.Repeat("250-"+strings.Repeat("a", 1900)+"\r\n", 60) + "250 b\r\n",
	"end in a line":  "250 a",
	"end of lines":   "250-a\r\n",
}

func TestReply(t *testing.T) {
	t.Parallel()
	for name, c := range replies {
		got, err := smtp.ReadReplies([]byte(c.raw + c.raw))
		require.ErrorIs(t, err, io.EOF, name)
		require.Equal(t, []smtp.Reply{c.want, c.want}, got, name)
	}
	for name, raw := range noReplies {
		got, err := smtp.ReadReplies([]byte(raw))
		require.Error(t, err, name)
		require.Empty(t, got, name)
		require.Less(t, len(err.Error()), 300, name)
	}
}

func FuzzReply(f *testing.F) {
	for _, c := range replies {
		f.Add([]byte(c.raw))
	}
	for _, raw := range noReplies {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, _ := smtp.ReadReplies(raw)
		for _, reply := range got {
			require.True(t, 200 <= reply.Code && reply.Code <= 599)
			require.LessOrEqual(t, len(reply.Lines), 129)
			for _, r := range strings.ReplaceAll(reply.String(), "\ufffd", "") {
				require.False(t, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp), "%q", r)
			}
			_ = smtp.QueueID(reply)
		}
	})
}

func TestQueueID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Ok: queued as 4XyZ12abc": "4XyZ12abc",
		"OK id=1rABcD-0001aB-2C":  "1rABcD-0001aB-2C",
		"OK  1700000000 d2e1a72fcca58-6cb12345678si1234567b3a.12 - gsmtp":           "d2e1a72fcca58-6cb12345678si1234567b3a.12",
		"Ok 0100018bcf5f1234-abcdef01-000000":                                       "0100018bcf5f1234-abcdef01-000000",
		"3A1B2C3D4E Message accepted for delivery":                                  "3A1B2C3D4E",
		"<a@b> [InternalId=123456789, Hostname=X.example] Queued mail for delivery": "123456789",
		"ok 1700000000 qp 12345":                                                    "12345",
		"Message Queued (6F1B2C3D-1234.1)":                                          "6F1B2C3D-1234.1",
		"Great success":                                                             "",
		"Ok":                                                                        "",
	} {
		require.Equal(t, want, smtp.QueueID(smtp.Reply{Code: 250, Lines: []string{text}}), text)
	}
}

// TestReplyFlood: a reply without end is an error, and is not kept.
func TestReplyFlood(t *testing.T) {
	server := newWireServer(t, func(p *wire) {
		p.greet()
		p.hear("MAIL")
		line := []byte("250-" + strings.Repeat("a", 500) + "\r\n")
		for {
			if _, err := p.conn.Write(line); err != nil {
				return
			}
		}
	})
	relay := newRelay(t, server, smtp.RelayOptions{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	result, err := relay.Send(t.Context(), letter(hello))
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "reply longer than")
	require.Equal(t, "deferred", statuses(result))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	require.Zero(t, relay.Stats().Busy)
}

// TestGarbage: what is no reply, at any step, ends the connection and accepts nothing.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for _, garbage := range []string{"HTTP/1.1 200 OK", "250-a\r\n550 b", "100 wait", "\x00\x00"} {
		for _, step := range []string{"MAIL", "RCPT", "DATA", "."} {
			t.Run(step+" "+garbage, func(t *testing.T) {
				t.Parallel()
				server := newWireServer(t, func(p *wire) {
					p.greet()
					p.serve(func(command, _ string) string {
						if strings.HasPrefix(command, step) {
							return garbage
						}
						return ""
					})
				})
				result, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), letter(hello))
				require.ErrorContains(t, err, "breaks the protocol")
				want := "deferred"
				if step == "." {
					want = "indeterminate"
				}
				require.Equal(t, want, statuses(result))
			})
		}
	}
}

// TestRepliesInErrors: what a server says cannot forge lines of a log.
func TestRepliesInErrors(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet()
		p.serve(func(command, _ string) string {
			if strings.HasPrefix(command, "RCPT") {
				return "550 5.1.1 no\x1b[2J\r\u202e\x85INFO all is well"
			}
			return ""
		})
	})
	_, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), letter(hello))
	for _, r := range err.Error() {
		require.False(t, unicode.In(r, unicode.Cc, unicode.Cf), "%q in %q", r, err)
	}
}
