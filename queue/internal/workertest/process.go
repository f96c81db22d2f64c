package workertest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Process is the test binary once more, as a program of its own. It is killed when
// the test ends.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	errors bytes.Buffer
	ended  chan struct{}
	err    error // how it ended
	kill   sync.Once
}

// Start starts a process with a variable in its environment that has it not run
// tests. hear is called with each whole line of its standard output.
func Start(t testing.TB, variable, value string, hear func(line string)) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(os.Args[0]), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable+"="+value)
	p.cmd.Stderr = &p.errors
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		listen(out, hear)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", value, p.errors.Bytes()[max(0, p.errors.Len()-4096):])
		}
	})
	return p
}

// listen leaves out what comes after the last newline: the process was killed while
// it said that.
func listen(out io.Reader, hear func(string)) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		hear(line[:len(line)-1])
	}
}

// Kill ends the process whatever it is doing, and returns when it has ended and all
// that it said has been heard.
func (p *Process) Kill() {
	p.kill.Do(func() { _ = p.cmd.Process.Kill() })
	<-p.ended
}

// Say writes a line to the process.
func (p *Process) Say(line string) { _, _ = io.WriteString(p.in, line+"\n") }

// CloseInput ends what the process reads.
func (p *Process) CloseInput() { _ = p.in.Close() }

// Wait waits until the process has ended by itself.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Ended is closed when the process has ended and all that it said has been heard.
func (p *Process) Ended() <-chan struct{} { return p.ended }
