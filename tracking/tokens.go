package tracking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"sync"
)

// Tokens are split certificates: a static segment L says where a link of a
// mailing leads, and a segment R names the recipient. L is made once for a
// mailing, R once for each recipient; each has its own MAC, and R's covers the
// mailing, so that segments of different mailings do not go together.
//
//	L = base64url(kind 1, key 1, mailing 8, link 2, URL, MAC 10)
//	R = base64url(kind 1, key 1, message 16, MAC 12)
//
// The upper half of the kind byte is the version. No token holds an address.

// tokenKind tells what a token may be used for. A token of one kind is not valid
// as any other.
type tokenKind uint8

const (
	kindLink        tokenKind = iota + 1 // L
	kindAnonymous                        // R for opens and clicks, without a message
	kindEngage                           // R for opens and clicks
	kindFull                             // the same, in mode Full
	kindUnsubscribe                      // R for unsubscribing and preferences
	kindReturn                           // R in the reverse-path and the Message-ID
)

// tokenVersion is in the upper half of a token's first byte.
const tokenVersion = 1 << 4

const (
	linkHead      = 1 + 1 + mailingSize + 2
	linkMAC       = 10
	recipientHead = 1 + 1
	recipientMAC  = 12
	recipientRaw  = recipientHead + 16 + recipientMAC

	// recipientSize is the length of every R.
	recipientSize = 40
	// returnSize is the length of an R in a reverse-path.
	returnSize = 48
	// maxSegment bounds an L, so that no URL of ours exceeds what clients take.
	maxSegment = 2000
)

// ErrBadToken is wrapped by the errors for a token that is not ours: altered, cut
// short, of another kind, or signed with a key that is not known any more.
var ErrBadToken = errors.New("not a token of ours")

// mailing names a template: the first bytes of its content hash.
type mailing [mailingSize]byte

const mailingSize = 8

// binds reports whether tokens of this kind are valid for one mailing only.
func (k tokenKind) binds() bool {
	return k == kindAnonymous || k == kindEngage || k == kindFull
}

// recipientToken is what an R says.
type recipientToken struct {
	kind tokenKind
	id   ID
}

// linkToken is what an L says.
type linkToken struct {
	mailing mailing
	link    uint16
	url     string
}

// urlEncoding and lowerEncoding refuse encodings with stray bits, so that each
// token has one spelling. A reverse-path is in base32, because some servers
// change the case of a local part.
var (
	urlEncoding   = base64.RawURLEncoding.Strict()
	lowerEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// signer makes and checks tokens. It is safe for concurrent use.
type signer struct {
	current *secret
	byID    [256]*secret
}

// secret is one key with hash states that are ready for use.
type secret struct {
	id     uint8
	states sync.Pool // of *macState
}

// macState is a keyed hash and the room for one token.
type macState struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	raw  []byte
	text []byte
}

func newSigner(keys []Key) *signer {
	s := &signer{}
	for _, k := range keys {
		key := append([]byte(nil), k.Secret...)
		s.byID[k.ID] = &secret{id: k.ID, states: sync.Pool{New: func() any {
			return &macState{mac: hmac.New(sha256.New, key)}
		}}}
	}
	s.current = s.byID[keys[0].ID]
	return s
}

// seal returns the first n bytes of the MAC over raw. They are valid until the
// state is used again.
func (st *macState) seal(n int) []byte {
	st.mac.Reset()
	st.mac.Write(st.raw)
	return st.mac.Sum(st.sum[:0])[:n]
}

// appendLink appends the L of a link.
func (s *signer) appendLink(dst []byte, m mailing, link uint16, url string) []byte {
	st := s.current.states.Get().(*macState)
	defer s.current.states.Put(st)
	st.raw = append(st.raw[:0], tokenVersion|byte(kindLink), s.current.id)
	st.raw = append(st.raw, m[:]...)
	st.raw = binary.BigEndian.AppendUint16(st.raw, link)
	st.raw = append(st.raw, url...)
	st.raw = append(st.raw, st.seal(linkMAC)...)
	return urlEncoding.AppendEncode(dst, st.raw)
}

// linkSize is the length of the L of a URL of n bytes.
func linkSize(n int) int { return urlEncoding.EncodedLen(linkHead + n + linkMAC) }

// appendRecipient appends an R, 40 characters of [A-Za-z0-9_-]. The mailing
// counts for opens and clicks alone, and the ID for all but the anonymous kind.
func (s *signer) appendRecipient(dst []byte, kind tokenKind, m mailing, id ID) []byte {
	st := s.current.states.Get().(*macState)
	defer s.current.states.Put(st)
	return urlEncoding.AppendEncode(dst, s.recipient(st, kind, m, id))
}

// appendLower appends an R as reverse-paths have it, for servers do not keep the case
// of those: 48 characters of [a-z2-7].
func appendLower(dst, token []byte) []byte {
	var raw [recipientRaw]byte
	_, _ = urlEncoding.Decode(raw[:], token) // our own
	return lowerEncoding.AppendEncode(dst, raw[:])
}

// recipient returns an R before it is encoded. It is valid until st is used again.
func (s *signer) recipient(st *macState, kind tokenKind, m mailing, id ID) []byte {
	if kind == kindAnonymous {
		id = ID{}
	}
	mac := st.sealRecipient(tokenVersion|byte(kind), s.current.id, m, id)
	st.text = append(st.text[:0], tokenVersion|byte(kind), s.current.id)
	st.text = append(st.text, id[:]...)
	st.text = append(st.text, mac...)
	return st.text
}

// sealRecipient returns the MAC of an R.
func (st *macState) sealRecipient(first, key byte, m mailing, id ID) []byte {
	if !tokenKind(first &^ tokenVersion).binds() {
		m = mailing{}
	}
	st.raw = append(st.raw[:0], first, key)
	st.raw = append(st.raw, m[:]...)
	st.raw = append(st.raw, id[:]...)
	return st.seal(recipientMAC)
}

// parseLink reads an L and checks its MAC.
func (s *signer) parseLink(segment string) (linkToken, error) {
	n := urlEncoding.DecodedLen(len(segment))
	if len(segment) > maxSegment || n < linkHead+linkMAC || urlEncoding.EncodedLen(n) != len(segment) {
		return linkToken{}, ErrBadToken
	}
	k := s.keyOf(segment)
	if k == nil {
		return linkToken{}, ErrBadToken
	}
	st := k.states.Get().(*macState)
	defer k.states.Put(st)
	st.text = append(st.text[:0], segment...)
	raw, err := urlEncoding.AppendDecode(st.raw[:0], st.text)
	if err != nil || len(raw) != n || raw[0] != tokenVersion|byte(kindLink) || raw[1] != k.id {
		return linkToken{}, ErrBadToken
	}
	signed, mac := raw[:n-linkMAC], raw[n-linkMAC:]
	st.raw = signed
	if !hmac.Equal(mac, st.seal(linkMAC)) {
		return linkToken{}, ErrBadToken
	}
	head := signed[2:linkHead]
	return linkToken{
		mailing: mailing(head[:mailingSize]),
		link:    binary.BigEndian.Uint16(head[mailingSize:]),
		url:     string(signed[linkHead:]),
	}, nil
}

// keyOf returns the key that a token in the URL alphabet names, or nil. The
// segment has at least 4 characters.
func (s *signer) keyOf(segment string) *secret {
	var head [3]byte
	if _, err := urlEncoding.Decode(head[:], []byte(segment[:4])); err != nil {
		return nil
	}
	return s.byID[head[1]]
}

// parseRecipient reads an R in the URL alphabet and checks its MAC. The mailing
// counts for opens and clicks alone.
func (s *signer) parseRecipient(segment string, m mailing) (recipientToken, error) {
	var raw [recipientRaw]byte
	var text [recipientSize]byte
	if len(segment) != recipientSize {
		return recipientToken{}, ErrBadToken
	}
	copy(text[:], segment)
	n, err := urlEncoding.Decode(raw[:], text[:])
	if err != nil || n != recipientRaw {
		return recipientToken{}, ErrBadToken
	}
	return s.openRecipient(&raw, m)
}

// parseReturn reads the R of a reverse-path, in any case, and checks its MAC.
func (s *signer) parseReturn(text string) (ID, error) {
	var raw [recipientRaw]byte
	if len(text) != returnSize {
		return ID{}, ErrBadToken
	}
	n, err := lowerEncoding.Decode(raw[:], []byte(strings.ToLower(text)))
	if err != nil || n != recipientRaw {
		return ID{}, ErrBadToken
	}
	token, err := s.openRecipient(&raw, mailing{})
	if err != nil || token.kind != kindReturn {
		return ID{}, ErrBadToken
	}
	return token.id, nil
}

func (s *signer) openRecipient(raw *[recipientRaw]byte, m mailing) (recipientToken, error) {
	k := s.byID[raw[1]]
	if k == nil || raw[0]&0xf0 != tokenVersion {
		return recipientToken{}, ErrBadToken
	}
	id := ID(raw[recipientHead : recipientHead+16])
	st := k.states.Get().(*macState)
	defer k.states.Put(st)
	if !hmac.Equal(raw[recipientHead+16:], st.sealRecipient(raw[0], raw[1], m, id)) {
		return recipientToken{}, ErrBadToken
	}
	return recipientToken{kind: tokenKind(raw[0] & 0x0f), id: id}, nil
}
