package bounce

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ParseFile parses the one mail that a file holds.
func ParseFile(name string) (*Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	defer f.Close()
	return Parse(f)
}

// ReadMbox hands each mail of an mbox file (RFC 4155, and with quoted ">From "
// lines) to handle, in order, until one fails, ctx ends or r does. The error says
// how many were taken, so that a caller who empties the file knows.
func ReadMbox(ctx context.Context, r io.Reader, handle Handler) error {
	box := mbox{r: bufio.NewReaderSize(r, 16<<10), start: true}
	for taken := 0; box.next(); taken++ {
		report, err := Parse(&box)
		if err == nil {
			_, err = io.Copy(io.Discard, &box)
		}
		if err == nil {
			err = handOver(ctx, handle, report)
		}
		if err != nil {
			return fmt.Errorf("bounce: read mbox after %d mails: %w", taken, err)
		}
	}
	if box.err != nil && !errors.Is(box.err, io.EOF) {
		return fmt.Errorf("bounce: read mbox: %w", box.err)
	}
	return nil
}

func handOver(ctx context.Context, handle Handler, r *Report) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return handle(ctx, r)
}

// mbox reads one mail after the other.
type mbox struct {
	r     *bufio.Reader
	line  []byte // what is left of a line
	start bool   // the next bytes begin a line
	gap   bool   // an empty line came before
	begun bool   // within a mail
	err   error
}

var fromLine = []byte("From ")

// next goes to the next mail; false if there is none.
func (m *mbox) next() bool {
	for m.err == nil {
		if m.start {
			if peek, err := m.r.Peek(len(fromLine)); err != nil && len(peek) == 0 {
				m.err = err
				return false
			}
			m.begun, m.gap = true, false
			return true
		}
		m.fill()
	}
	return false
}

// Read reads the current mail, to its end.
func (m *mbox) Read(p []byte) (int, error) {
	for len(m.line) == 0 {
		if m.err != nil {
			if errors.Is(m.err, io.EOF) {
				return 0, io.EOF
			}
			return 0, m.err
		}
		if m.ends() {
			return 0, io.EOF
		}
		m.fill()
	}
	n := copy(p, m.line)
	m.line = m.line[n:]
	return n, nil
}

// ends says whether another mail begins here: a "From " line after an empty one.
func (m *mbox) ends() bool {
	if !m.start || !m.gap {
		return false
	}
	peek, _ := m.r.Peek(len(fromLine))
	return bytes.Equal(peek, fromLine)
}

// fill reads a line, or a part of a long one.
func (m *mbox) fill() {
	line, err := m.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	if m.start {
		m.gap = len(bytes.TrimRight(line, "\r\n")) == 0 && len(line) > 0
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, fromLine) {
			line = line[1:]
		}
	}
	m.start = bytes.HasSuffix(line, []byte("\n"))
	m.line, m.err = line, err
}

// DrainMaildir hands each new mail of a Maildir to handle: those in new, and those
// in cur without the flag S. A mail that handle took is moved to cur with that
// flag; when handle fails or ctx ends, DrainMaildir stops with an error that names
// the mail, which stays where it was. So nothing is lost, and a mail is handled
// again only if its move failed.
func DrainMaildir(ctx context.Context, dir string, handle Handler) error {
	for _, sub := range [...]string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return fmt.Errorf("bounce: drain maildir: %w", err)
		}
		for _, e := range entries {
			if err := drainFile(ctx, dir, sub, e, handle); err != nil {
				return fmt.Errorf("bounce: drain maildir: %s: %w", filepath.Join(dir, sub, e.Name()), err)
			}
		}
	}
	return nil
}

func drainFile(ctx context.Context, dir, sub string, e fs.DirEntry, handle Handler) error {
	base, flags, _ := strings.Cut(e.Name(), ":2,")
	if !e.Type().IsRegular() || strings.HasPrefix(base, ".") || strings.ContainsAny(flags, "ST") {
		return nil
	}
	name := filepath.Join(dir, sub, e.Name())
	report, err := ParseFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another reader was faster
	}
	if err != nil {
		return err
	}
	if err := handOver(ctx, handle, report); err != nil {
		return err
	}
	return os.Rename(name, filepath.Join(dir, "cur", base+":2,"+flags+"S"))
}
