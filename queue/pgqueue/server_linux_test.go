package pgqueue_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue/internal/workertest"
)

// server is a PostgreSQL server of the test's own, which listens on a socket in its
// directory.
type server struct {
	*testing.T
	bin, dir string
	as       *syscall.Credential // nil for our own
	pool     *pgxpool.Pool       // to ask it whether it is up
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd has ended
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
	s.pool = newPool(t, s.address())
	s.start()
	t.Cleanup(s.crash)
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

// start starts the server and waits until it answers. One that ends, because what is
// left of the one before has not ended yet, is started again.
func (s *server) start() {
	s.run()
	for deadline := time.Now().Add(2 * time.Minute); s.pool.Ping(s.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		require.True(s, time.Now().Before(deadline), "the server does not start")
		select {
		case <-s.ended:
			s.run()
		default:
		}
	}
}

func (s *server) run() {
	cmd, ended := s.command("postgres", "-D", s.dir+"/data", "-k", s.dir, "-c", "listen_addresses="), make(chan struct{})
	require.NoError(s, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.cmd, s.ended = cmd, ended
}

// crash ends the server without letting it write what it has in memory.
func (s *server) crash() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.ended
}

// kill ends each process of the server before any of them knows.
func (s *server) kill() {
	pid := s.cmd.Process.Pid
	require.NoError(s, syscall.Kill(pid, syscall.SIGSTOP)) // it starts no more
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	require.NoError(s, err)
	for _, child := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(child)
		require.NoError(s, err)
		require.NoError(s, syscall.Kill(child, syscall.SIGKILL))
	}
	require.NoError(s, s.cmd.Process.Kill())
	<-s.ended
}

func (s *server) address() string {
	q := url.Values{"host": {s.dir}, "user": {"mail"}, "dbname": {"postgres"}}
	return (&url.URL{Scheme: "postgres", Path: "/", RawQuery: q.Encode()}).String()
}

// TestRestartServer has the server die and come back while mail is queued and sent,
// and kills workers before, meanwhile and after.
func TestRestartServer(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	where := "franqueo " + server.address()
	crew := workertest.New(t, rest)
	workers := []*workertest.Worker{crew.Hire(where), crew.Hire(where), crew.Hire(where)}
	for _, die := range []func(){server.crash, server.kill, server.crash} {
		crew.All(20)
		mended := crew.Trouble(workers...)
		die()
		workers[0].Kill()
		workers = append(workers[1:], crew.Hire(where))
		server.start()
		mended()
	}
	crew.EndLeases(openAt, where)
	crew.Hire(where)
	crew.Finish()
}
