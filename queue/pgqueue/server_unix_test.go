//go:build unix

package pgqueue_test

import (
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// server is a PostgreSQL server of the test's own, which listens on a socket in its
// directory.
type server struct {
	*testing.T
	bin, dir string
	as       *syscall.Credential // nil for our own
	cmd      *exec.Cmd
}

// newServer makes and starts a server. It needs the programs where Debian puts them.
func newServer(t *testing.T) *server {
	peer(t) // where there is no PostgreSQL to test with, there are no programs
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	require.NotEmpty(t, found, "apt-get install postgresql")
	dir, err := os.MkdirTemp("", "pg") // a socket's path must be short
	require.NoError(t, err)
	s := &server{T: t, bin: filepath.Dir(found[0]), dir: dir}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	if os.Getuid() == 0 { // the server refuses to run as root
		s.as = credential(t, "postgres")
		require.NoError(t, os.Chown(dir, int(s.as.Uid), int(s.as.Gid)))
	}
	out, err := s.command("initdb", "-D", dir+"/data", "-A", "trust", "-U", "mail", "-E", "UTF8").CombinedOutput()
	require.NoError(t, err, string(out))
	s.start()
	t.Cleanup(func() { s.crash() })
	return s
}

func credential(t *testing.T, name string) *syscall.Credential {
	u, err := user.Lookup(name)
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return cmd
}

func (s *server) start() {
	s.cmd = s.command("postgres", "-D", s.dir+"/data", "-k", s.dir, "-c", "listen_addresses=")
	require.NoError(s, s.cmd.Start())
}

// crash ends the server without letting it write what it has in memory.
func (s *server) crash() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait()
}

func (s *server) address() string {
	q := url.Values{"host": {s.dir}, "user": {"mail"}, "dbname": {"postgres"}}
	return (&url.URL{Scheme: "postgres", Path: "/", RawQuery: q.Encode()}).String()
}

// TestRestartServer has the server crash and come back, again and again, while jobs
// are put and sent, and kills workers in between.
func TestRestartServer(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	pool := newPool(t, server.address())
	require.Eventually(t, func() bool { return pool.Ping(t.Context()) == nil }, 30*time.Second, 50*time.Millisecond)
	s := open(t, pool, "franqueo")
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c := newCrew(t, "franqueo", server.address(), 3)
	done := make(chan []tracking.ID)
	go func() { done <- fillFrom(t, s, 8, 100) }()
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		server.crash()
		c.kill()
		c.hire()
		server.start()
	}
	c.check(s, <-done)
}
