package smtp

import (
	"bufio"
	"bytes"
	"io"
)

// Encode gives a message as it goes by BDAT, and as it goes by DATA without the
// last dot. Both are read in blocks.
func Encode(r io.Reader) (text, stuffed []byte, err error) {
	c := newCanonical(r)
	line := atLineStart
	block := make([]byte, 100)
	for {
		n, err := c.Read(block)
		stuffed = appendStuffed(stuffed, block[:n], line)
		text = append(text, block[:n]...)
		if n > 0 {
			if line = insideLine; block[n-1] == '\n' {
				line = atLineStart
			}
		}
		if err == io.EOF {
			return text, stuffed, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// EncodeMemory is Encode for a message in memory.
func EncodeMemory(b []byte) (text, stuffed []byte, err error) {
	l := &letter{}
	if err := l.take(b); err != nil {
		return nil, nil, err
	}
	return l.body, l.appendStuffed(nil), nil
}

// ReadReplies reads replies up to the end, or to the first that is none.
func ReadReplies(b []byte) (replies []Reply, err error) {
	r := newReplyReader(bufio.NewReaderSize(bytes.NewReader(b), 2*maxReplyLine))
	for {
		raw, err := r.next()
		if err != nil {
			return replies, err
		}
		replies = append(replies, raw.reply())
	}
}

// QueueID finds the server's name for a message.
func QueueID(r Reply) string { return queueID(r) }
