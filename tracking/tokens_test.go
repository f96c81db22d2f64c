// Tokens are tested from inside: they reach the outside only within URLs.
package tracking

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	spring = mailing{1, 2, 3, 4, 5, 6, 7, 8}
	autumn = mailing{8, 7, 6, 5, 4, 3, 2, 1}
	letter = ID{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 1, 2, 3, 4, 5, 6, 7}
)

func testKey(id uint8) Key {
	return Key{ID: id, Secret: bytes.Repeat([]byte{id + 1}, 32)}
}

func testSigner(ids ...uint8) *signer {
	var keys []Key
	for _, id := range ids {
		keys = append(keys, testKey(id))
	}
	return newSigner(keys)
}

var recipientKinds = []tokenKind{kindAnonymous, kindEngage, kindFull, kindUnsubscribe, kindReturn}

func TestRecipientToken(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	for _, kind := range recipientKinds {
		segment := string(s.appendRecipient(nil, kind, spring, letter))
		require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_-]{40}$`), segment)
		token, err := s.parseRecipient(segment, spring)
		require.NoError(t, err)
		require.Equal(t, kind, token.kind)
		if kind == kindAnonymous {
			require.Zero(t, token.id)
		} else {
			require.Equal(t, letter, token.id)
		}
		_, err = s.parseRecipient(segment, autumn)
		require.Equal(t, kind.binds(), err != nil, "kind %d", kind)
	}
}

func TestAnonymousTokenIsTheMailings(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	require.Equal(t,
		s.appendRecipient(nil, kindAnonymous, spring, letter),
		s.appendRecipient(nil, kindAnonymous, spring, NewID()))
}

// TestKindsApart changes the kind that a token names: its MAC must not hold.
func TestKindsApart(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	for _, kind := range recipientKinds {
		for _, other := range append(recipientKinds, kindLink, 0, 15) {
			raw, err := base64.RawURLEncoding.DecodeString(string(s.appendRecipient(nil, kind, mailing{}, ID{})))
			require.NoError(t, err)
			raw[0] = tokenVersion | byte(other)
			_, err = s.parseRecipient(base64.RawURLEncoding.EncodeToString(raw), mailing{})
			require.Equal(t, kind != other, err != nil, "%d as %d", kind, other)
		}
	}
}

func (s *signer) returnToken(id ID) []byte {
	return appendLower(nil, s.appendRecipient(nil, kindReturn, mailing{}, id))
}

func TestAlteredTokens(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	recipient := s.appendRecipient(nil, kindEngage, spring, letter)
	link := s.appendLink(nil, spring, 3, "https://example.com/a?b=1&c=2")
	back := s.returnToken(letter)
	for i := range recipient {
		_, err := s.parseRecipient(altered(recipient, i), spring)
		require.ErrorIs(t, err, ErrBadToken, "character %d", i)
	}
	for i := range link {
		_, err := s.parseLink(altered(link, i))
		require.ErrorIs(t, err, ErrBadToken, "character %d", i)
	}
	for i := range back {
		_, err := s.parseReturn(altered(back, i))
		require.ErrorIs(t, err, ErrBadToken, "character %d", i)
	}
}

// altered changes the lowest bit of one character's value, where there is one.
func altered(token []byte, i int) string {
	out := bytes.Clone(token)
	out[i] ^= 1
	return string(out)
}

func TestTokenForms(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	link := string(s.appendLink(nil, spring, 0, "https://example.com/"))
	recipient := string(s.appendRecipient(nil, kindEngage, spring, letter))
	for _, bad := range []string{"", "A", "AAAA", link[:4], link[1:], link[:len(link)-1], link + "A", link + "\n", link[:8] + "\n" + link[8:],
		link + "=", strings.Repeat("A", maxSegment+1), strings.Repeat("A", maxSegment), recipient, "é" + link} {
		_, err := s.parseLink(bad)
		require.ErrorIs(t, err, ErrBadToken, "%q", bad)
	}
	for _, bad := range []string{"", "A", recipient[1:], recipient + "A", recipient[:39] + "\n", recipient[:39] + "=", link[:40]} {
		_, err := s.parseRecipient(bad, spring)
		require.ErrorIs(t, err, ErrBadToken, "%q", bad)
	}
}

func TestLinkToken(t *testing.T) {
	t.Parallel()
	s := testSigner(1)
	for _, u := range []string{"https://example.com/", "http://ejemplo.es/ñ?q=%20&x=\"", "https://example.com/" + strings.Repeat("a", 1400)} {
		segment := s.appendLink(nil, spring, 65535, u)
		require.Len(t, segment, linkSize(len(u)))
		token, err := s.parseLink(string(segment))
		require.NoError(t, err)
		require.Equal(t, linkToken{spring, 65535, u}, token)
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	old, both, after := testSigner(1), testSigner(2, 1), testSigner(2)
	was, is := string(old.appendRecipient(nil, kindReturn, spring, letter)), string(both.appendRecipient(nil, kindReturn, spring, letter))
	link := string(old.appendLink(nil, spring, 1, "https://example.com/"))
	require.NotEqual(t, was, is)
	for _, token := range []string{was, is} {
		_, err := both.parseRecipient(token, spring)
		require.NoError(t, err)
	}
	_, err := both.parseLink(link)
	require.NoError(t, err)
	_, err = after.parseLink(link)
	require.ErrorIs(t, err, ErrBadToken)
	_, err = after.parseRecipient(was, spring)
	require.ErrorIs(t, err, ErrBadToken)
	_, err = after.parseRecipient(is, spring)
	require.NoError(t, err)
}

// TestPathLength holds a click on a URL of 80 characters to 180.
func TestPathLength(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com", nil)
	u := "https://example.com/" + strings.Repeat("a", 60)
	link := tracker.appendClick(nil, spring, 9, u)
	link = tracker.signer.appendRecipient(link, kindEngage, spring, letter)
	require.LessOrEqual(t, len(link)-len(tracker.base), 180)
}

func newTestTracker(t testing.TB, base string, opts *Options) *Tracker {
	t.Helper()
	tracker, err := New(base, []Key{testKey(1)}, opts)
	require.NoError(t, err)
	return tracker
}

func FuzzTokens(f *testing.F) {
	s := testSigner(1, 2)
	f.Add(string(s.appendRecipient(nil, kindEngage, spring, letter)))
	f.Add(string(s.appendLink(nil, spring, 1, "https://example.com/")))
	f.Add(string(s.returnToken(letter)))
	f.Fuzz(func(t *testing.T, segment string) {
		// What parses is exactly what we would have written.
		if token, err := s.parseLink(segment); err == nil {
			require.Contains(t, s.spellings(func(s *signer) []byte { return s.appendLink(nil, token.mailing, token.link, token.url) }), segment)
		}
		if token, err := s.parseRecipient(segment, spring); err == nil {
			require.Contains(t, s.spellings(func(s *signer) []byte { return s.appendRecipient(nil, token.kind, spring, token.id) }), segment)
		}
		if id, err := s.parseReturn(segment); err == nil {
			require.Contains(t, s.spellings(func(s *signer) []byte { return s.returnToken(id) }), strings.ToLower(segment))
		}
	})
}

// spellings returns what mint makes with each key.
func (s *signer) spellings(mint func(*signer) []byte) []string {
	var out []string
	for _, k := range s.byID {
		if k != nil {
			out = append(out, string(mint(&signer{current: k})))
		}
	}
	return out
}

func BenchmarkMint(b *testing.B) {
	s := testSigner(1)
	dst := make([]byte, 0, 1024)
	b.Run("recipient", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.appendRecipient(dst, kindEngage, spring, letter)
		}
	})
	b.Run("link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.appendLink(dst, spring, 1, "https://example.com/tienda/oferta?utm_source=boletin&utm_medium=email")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := testSigner(1)
	recipient := string(s.appendRecipient(nil, kindEngage, spring, letter))
	link := string(s.appendLink(nil, spring, 1, "https://example.com/tienda/oferta?utm_source=boletin&utm_medium=email"))
	b.Run("recipient", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.parseRecipient(recipient, spring)
		}
	})
	b.Run("link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.parseLink(link)
		}
	})
}
