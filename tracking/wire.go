package tracking

import (
	"bytes"
	"encoding/base64"
)

// maxLine is the longest line of an encoded body, without its CRLF (RFC 2045,
// sections 6.7 and 6.8), and what header fields are folded at.
const maxLine = 76

const upperHex = "0123456789ABCDEF"

// qpClass says how quoted-printable treats a byte.
const (
	qpPlain = iota
	qpEncode
	qpBlank
	qpCR
	qpLF
)

var qpClass = func() (class [256]uint8) {
	for c := range class {
		if c < ' ' || c > '~' || c == '=' {
			class[c] = qpEncode
		}
	}
	class[' '], class['\t'], class['\r'], class['\n'] = qpBlank, qpBlank, qpCR, qpLF
	return class
}()

const softBreak = "=\r\n"

// appendQP appends text in quoted-printable from column col, and returns the
// column behind it. CRLF and LF become line ends; a CR alone is encoded. A dot
// at the start of a line is encoded too, so that a server that forgets about
// dot-stuffing does no harm.
func appendQP[T string | []byte](dst []byte, col int, text T) ([]byte, int) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		class := qpClass[c]
		switch {
		case class == qpPlain && (c != '.' || col > 0):
			n := plainRun(text, i, maxLine-1-col)
			dst = append(dst, text[i:i+n]...)
			col += n
			if n == 0 {
				dst, col = append(dst, softBreak...), 0
			}
			i += n - 1
			continue
		case class == qpLF, class == qpCR && i+1 < len(text) && text[i+1] == '\n':
			dst, col = append(dst, "\r\n"...), 0
			if class == qpCR {
				i++
			}
			continue
		}
		literal := class == qpBlank && !endsLine(text, i+1)
		width := 3
		if literal {
			width = 1
		}
		if col+width > maxLine-1 {
			dst, col = append(dst, softBreak...), 0
		}
		if literal {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
		col += width
	}
	return dst, col
}

// plainRun counts the plain bytes at text[i:], up to limit.
func plainRun[T string | []byte](text T, i, limit int) int {
	end := min(i+limit, len(text))
	n := i
	for n < end && qpClass[text[n]] == qpPlain {
		n++
	}
	return n - i
}

// endsLine reports whether a blank before text[i] would be the last byte of a
// line.
func endsLine[T string | []byte](text T, i int) bool {
	return i >= len(text) || text[i] == '\n' || text[i] == '\r'
}

// appendLiteralQP appends data in quoted-printable so that its line ends, too,
// are the same bytes when it is decoded.
func appendLiteralQP(dst, data []byte) []byte {
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		end := line[len(text):]
		var col int
		dst, col = appendQP(dst, 0, text)
		if col+3*len(end) > maxLine-1 {
			dst = append(dst, softBreak...)
		}
		for _, c := range end {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
		if len(end) > 0 {
			dst = append(dst, softBreak...)
		}
	}
	return dst
}

// isReadable reports whether quoted-printable suits data: it is mostly ASCII text
// in lines.
func isReadable(data []byte) bool {
	odd := 0
	for _, c := range data {
		if qpClass[c] == qpEncode {
			odd++
		}
	}
	return odd <= len(data)/6 && !bytes.Contains(data, []byte("\r\r"))
}

// appendBase64 appends data in lines of base64, each with its CRLF.
func appendBase64(dst, data []byte) []byte {
	const raw = maxLine / 4 * 3
	lines := (len(data) + raw - 1) / raw
	dst = append(make([]byte, 0, len(dst)+base64.StdEncoding.EncodedLen(len(data))+2*lines), dst...)
	for len(data) > 0 {
		n := min(raw, len(data))
		dst = base64.StdEncoding.AppendEncode(dst, data[:n])
		dst = append(dst, "\r\n"...)
		data = data[n:]
	}
	return dst
}

// column is how long the last line of b is.
func column(b []byte) int { return len(b) - 1 - bytes.LastIndexByte(b, '\n') }
