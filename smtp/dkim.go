package smtp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DKIM signs messages (RFC 6376, RFC 8463): one signature for each key, made in
// a single pass over the message. Give an RSA key and an Ed25519 key to have
// both; verifiers that do not know Ed25519 take the other.
//
// Both header and body are canonicalized as relaxed. Signed are the fields that
// readers and list software rely on, among them List-Unsubscribe and
// List-Unsubscribe-Post as RFC 8058, section 4 asks. The important ones are
// signed once more than they occur, so that nobody can add another; for messages
// with a List-Post field, to which list software may add its own, the List fields
// are left out of that. Message bodies are always signed whole.
//
// The signature's time is [Message.Date], so that a message signed again has the
// same bytes.
func DKIM(keys ...*DKIMKey) Signer { return dkim(keys) }

type dkim []*DKIMKey

// signedFields are the names of the fields to sign, where they occur, and
// whether to sign them once more than they do (oversign).
var signedFields = [...]struct {
	name     string
	oversign oversigning
}{
	{"From", always},
	{"Sender", never},
	{"Reply-To", always},
	{"To", always},
	{"Cc", always},
	{"Subject", always},
	{"Date", always},
	{"Message-ID", never},
	{"In-Reply-To", never},
	{"References", never},
	{"MIME-Version", always},
	{"Content-Type", always},
	{"Content-Transfer-Encoding", never},
	{"List-Id", never},
	{"List-Help", never},
	{"List-Unsubscribe", unlessList},
	{"List-Unsubscribe-Post", unlessList},
	{"Feedback-ID", always},
}

type oversigning uint8

const (
	never oversigning = iota
	always
	unlessList // unless the message has a List-Post field
)

// signBuffer is how much of a message is read at once, in octets.
const signBuffer = 32 << 10

// maxSignedHeader bounds the header of a message to be signed, in octets.
const maxSignedHeader = 1 << 20

// Sign implements [Signer].
func (d dkim) Sign(_ context.Context, m *Message, content io.Reader) ([]byte, error) {
	if len(d) == 0 {
		return nil, nil
	}
	s := signings.Get().(*signing)
	defer s.release()
	if err := s.read(content); err != nil {
		return nil, fmt.Errorf("smtp: DKIM: %w", err)
	}
	date := m.Date
	if date.IsZero() {
		date = time.Now()
	}
	var header []byte
	for _, key := range d {
		signature, err := s.signature(key, date)
		if err != nil {
			return nil, fmt.Errorf("smtp: DKIM key %s: %w", key.RecordName(), err)
		}
		header = append(header, signature...)
	}
	return header, nil
}

// signing is the work on one message. It is kept for the next one.
type signing struct {
	buffer []byte // input; then the header
	fields []field
	names  []byte // the h= of the signature
	header []byte // the signed fields, in canonical form
	body   relaxedBody
	sum    []byte // the hash of the body
	h      hash.Hash
}

// field is one header field as it stands, without the last CRLF.
type field struct{ name, value []byte }

var signings = sync.Pool{New: func() any {
	return &signing{
		buffer: make([]byte, signBuffer),
		body:   relaxedBody{h: sha256.New()},
		h:      sha256.New(),
	}
}}

// release keeps s for the next message, unless this one made it large.
func (s *signing) release() {
	if len(s.buffer) == signBuffer {
		signings.Put(s)
	}
}

// read takes in the message and computes what is the same for all keys.
func (s *signing) read(content io.Reader) error {
	n, end, err := s.readHeader(content)
	if err != nil {
		return err
	}
	if err := s.split(s.buffer[:end]); err != nil {
		return err
	}
	if err := s.choose(); err != nil {
		return err
	}
	// All that is needed of the header has been copied.
	s.body.reset()
	body := s.body.write(s.buffer[min(end+2, n):n])
	n = copy(s.buffer, body)
	for {
		more, err := content.Read(s.buffer[n:])
		n = copy(s.buffer, s.body.write(s.buffer[:n+more]))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	s.sum = s.body.sum(s.sum[:0])
	return nil
}

// readHeader reads until the empty line. It returns how much was read and how
// much of it is the header, with the CRLF of its last line.
func (s *signing) readHeader(content io.Reader) (n, end int, err error) {
	for {
		more, err := content.Read(s.buffer[n:])
		searched := max(0, n-3)
		n += more
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if i := bytes.Index(s.buffer[searched:n], []byte("\r\n\r\n")); i >= 0 {
			return n, searched + i + 2, nil
		}
		switch {
		case err != nil:
			return n, n, nil
		case n >= maxSignedHeader:
			return 0, 0, fmt.Errorf("%w: header longer than %d octets", ErrBadContent, maxSignedHeader)
		case n == len(s.buffer):
			s.buffer = append(s.buffer, make([]byte, n)...)
		}
	}
}

// split finds the fields of the header.
func (s *signing) split(header []byte) error {
	s.fields = s.fields[:0]
	for len(header) > 0 {
		end := fieldEnd(header)
		raw := bytes.TrimSuffix(header[:end], []byte("\r\n"))
		name, value, ok := bytes.Cut(raw, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\r\n") {
			return fmt.Errorf("%w: header line %.40q has no field name", ErrBadContent, raw)
		}
		s.fields = append(s.fields, field{name, value})
		header = header[end:]
	}
	return nil
}

// fieldEnd is where the next field begins: behind the first line end that no
// white space follows.
func fieldEnd(header []byte) int {
	end := 0
	for {
		i := bytes.IndexByte(header[end:], '\n')
		if i < 0 {
			return len(header)
		}
		end += i + 1
		if end == len(header) || header[end] != ' ' && header[end] != '\t' {
			return end
		}
	}
}

// choose writes the names and the canonical form of the fields to sign. Fields
// of one name are signed from the last to the first (RFC 6376, section 5.4.2).
func (s *signing) choose() error {
	s.names, s.header = s.names[:0], s.header[:0]
	list := s.count("List-Post") > 0
	if s.count("From") == 0 {
		return fmt.Errorf("%w: no From field", ErrBadContent)
	}
	for _, signed := range signedFields {
		name := signed.name
		for i := len(s.fields) - 1; i >= 0; i-- {
			if isName(s.fields[i].name, name) {
				s.header = appendRelaxed(s.header, name, s.fields[i].value)
				s.header = append(s.header, "\r\n"...)
				s.addName(name)
			}
		}
		if signed.oversign == always || signed.oversign == unlessList && !list {
			s.addName(name)
		}
	}
	return nil
}

func (s *signing) count(name string) (n int) {
	for _, f := range s.fields {
		if isName(f.name, name) {
			n++
		}
	}
	return n
}

func isName(field []byte, name string) bool {
	return len(field) == len(name) && strings.EqualFold(string(field), name)
}

// addName adds a name to h=, on a line of its own now and then.
func (s *signing) addName(name string) {
	if len(s.names) > 0 {
		s.names = append(s.names, ':')
	}
	line := len(s.names) - (bytes.LastIndexByte(s.names, '\n') + 1)
	if line+len(name) > 70 {
		s.names = append(s.names, "\r\n "...)
	}
	s.names = append(s.names, name...)
}

// signature is the DKIM-Signature field of one key.
func (s *signing) signature(key *DKIMKey, date time.Time) ([]byte, error) {
	const name = "DKIM-Signature"
	field := make([]byte, 0, 1024)
	field = append(field, name+": v=1; a="+key.algorithm+"-sha256; c=relaxed/relaxed; t="...)
	field = strconv.AppendInt(field, date.Unix(), 10)
	field = append(field, ";\r\n d="+key.domain+"; s="+key.selector+";\r\n h="...)
	field = append(append(field, s.names...), ";\r\n bh="...)
	field = base64.StdEncoding.AppendEncode(field, s.sum)
	field = append(field, ";\r\n b="...)

	// RFC 6376, section 3.7: the fields, then this one without b= and CRLF.
	s.h.Reset()
	s.h.Write(s.header)
	signed := len(s.header)
	s.header = appendRelaxed(s.header, name, field[len(name)+1:])
	s.h.Write(s.header[signed:])
	s.header = s.header[:signed]
	signature, err := key.sign(s.h.Sum(nil))
	if err != nil {
		return nil, err
	}
	return append(appendFolded(field, signature), "\r\n"...), nil
}

// appendFolded appends data in base64, in lines.
func appendFolded(dst, data []byte) []byte {
	const line = 54 // octets of data on a line of 72
	for len(data) > line {
		dst = base64.StdEncoding.AppendEncode(dst, data[:line])
		dst = append(dst, "\r\n "...)
		data = data[line:]
	}
	return base64.StdEncoding.AppendEncode(dst, data)
}

// appendRelaxed appends a field in canonical form, without CRLF: its name in
// lower case, its value unfolded, white space reduced to single spaces (RFC 6376,
// section 3.4.2).
func appendRelaxed(dst []byte, name string, value []byte) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	start := len(dst)
	space := false
	for i, c := range value {
		switch {
		case c == ' ' || c == '\t':
			space = true
			continue
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n', c == '\n' && i > 0 && value[i-1] == '\r':
			continue
		case space && len(dst) > start:
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, c)
	}
	return dst
}
