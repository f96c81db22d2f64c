package smtp

import (
	"bytes"
	"hash"
)

// relaxedBody hashes a body in canonical form (RFC 6376, section 3.4.4): white
// space within a line is one space, at the end of a line and empty lines at the
// end of the body are nothing.
//
// Most of a body is canonical as it stands. It is searched for what is not, and
// hashed in place in runs that are as long as can be.
type relaxedBody struct {
	h     hash.Hash
	space bool // white space waits for what follows it
	lines int  // so do line ends
	any   bool // something has been hashed
}

func (b *relaxedBody) reset() {
	b.h.Reset()
	b.space, b.lines, b.any = false, 0, false
}

// Line ends are written several at a time.
var (
	lineEnds = bytes.Repeat([]byte("\r\n"), 32)
	oneSpace = []byte{' '}
)

// notPlain marks the octets that may not be canonical where they stand.
var notPlain = [256]bool{' ': true, '\t': true, '\r': true}

// write hashes all of p but a CR at its end, whose meaning hangs on what
// follows: that it returns.
func (b *relaxedBody) write(p []byte) (rest []byte) {
	for len(p) > 0 {
		switch {
		case p[0] == ' ' || p[0] == '\t':
			b.space = true
			p = p[1:]
		case p[0] == '\r' && len(p) == 1:
			return p
		case p[0] == '\r' && p[1] == '\n':
			b.space = false
			b.lines++
			p = p[2:]
		default:
			b.flush()
			n := canonicalRun(p)
			b.h.Write(p[:n])
			p = p[n:]
		}
	}
	return nil
}

// flush writes what waited.
func (b *relaxedBody) flush() {
	for b.lines > 0 {
		n := min(b.lines, len(lineEnds)/2)
		b.h.Write(lineEnds[:2*n])
		b.lines -= n
	}
	if b.space {
		b.h.Write(oneSpace)
		b.space = false
	}
	b.any = true
}

// canonicalRun is how much of p is canonical as it stands, at least one octet. A
// run holds single spaces and line ends, and ends behind a plain octet.
func canonicalRun(p []byte) int {
	i := 1
	for i < len(p) {
		switch {
		case !notPlain[p[i]]:
			i++
		case p[i] == ' ' && i+1 < len(p) && !notPlain[p[i+1]]:
			i += 2
		case p[i] == '\r' && i+2 < len(p) && p[i+1] == '\n' && !notPlain[p[i+2]]:
			i += 3
		default:
			return i
		}
	}
	return i
}

// sum ends the body and appends its hash to dst.
func (b *relaxedBody) sum(dst []byte) []byte {
	if b.any {
		b.h.Write(lineEnds[:2])
	}
	return b.h.Sum(dst)
}
