package smtptest

import (
	"fmt"
	"strings"
	"sync"
)

// maxTranscript bounds the lines that a transcript keeps; older ones are lost.
const maxTranscript = 2000

// transcript is the last lines of all conversations.
type transcript struct {
	mu    sync.Mutex
	lines [maxTranscript]string // guarded by mu; a ring
	count int                   // guarded by mu
}

func (t *transcript) add(conn int, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines[t.count%maxTranscript] = fmt.Sprintf("%d %s\n", conn, line)
	t.count++
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	if lost := t.count - maxTranscript; lost > 0 {
		fmt.Fprintf(&b, "(%d lines before)\n", lost)
	}
	for i := max(0, t.count-maxTranscript); i < t.count; i++ {
		b.WriteString(t.lines[i%maxTranscript])
	}
	return b.String()
}

// TB is the part of testing.TB that this package needs.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Transcript is what was said on all connections, the last 2,000 lines of it:
// the number of the connection, "C:" or "S:", and the line. Credentials and
// messages are left out.
func (s *Server) Transcript() string { return s.transcript.String() }

// LogOnFailure has the transcript logged at the end of a test that failed.
func (s *Server) LogOnFailure(t TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("transcript of %s:\n%s", s.Addr(), s.Transcript())
		}
	})
}
