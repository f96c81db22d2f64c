package sqlitequeue_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/sqlitequeue"
)

// inMount runs the test of this name again, in a process that may mount file
// systems of its own, and reports whether this is that process.
func inMount(t *testing.T) bool {
	t.Helper()
	if os.Getenv("FRANQUEO_IN_MOUNT") == t.Name() {
		return true
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "FRANQUEO_IN_MOUNT="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 && os.Getenv("FRANQUEO_CI") == "" {
		t.Skipf("no namespace to mount in: %v", err)
	}
	require.NoError(t, err, "%s", out)
	return false
}

func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

func TestDiskFull(t *testing.T) {
	if !inMount(t) {
		return
	}
	dir := t.TempDir()
	mountTmpfs(t, dir, "4m")
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	path := filepath.Join(dir, "mail.db")
	s := open(t, path)
	var stored []queue.Job
	var full error
	refused := mail(randomBody(10_000))
	for full == nil {
		if _, full = s.Put(t.Context(), refused); full == nil {
			stored = append(stored, refused.Jobs[0])
			refused = mail(randomBody(10_000))
		}
	}
	require.ErrorIs(t, full, queue.ErrNoSpace)
	require.NotEmpty(t, stored)

	flow := []queue.FlowClaim{{Flow: queue.Flow{Lane: "example.com"}, N: len(stored)}}
	leases, err := s.Claim(t.Context(), noon, noon.Add(time.Hour), flow)
	require.NoError(t, err, "what was stored can be sent")
	require.Len(t, leases, len(stored))
	var changes []queue.Change
	for _, l := range leases {
		changes = append(changes, queue.Change{ID: l.ID, Token: l.Token, State: queue.Delivered, Counts: true, Last: strings.Repeat("ok", 2000)})
	}
	_, err = s.Settle(t.Context(), changes)
	require.ErrorIs(t, err, queue.ErrNoSpace)

	require.NoError(t, os.Remove(ballast))
	stale, err := s.Settle(t.Context(), changes)
	require.NoError(t, err, "the same settlement, once there is space")
	require.Empty(t, stale)
	put(t, s, refused)
	require.NoError(t, s.Close())

	s, err = sqlitequeue.Open(path, &sqlitequeue.Options{CheckAll: true})
	require.NoError(t, err)
	defer s.Close()
	for i, job := range list(t, s)[:len(stored)] {
		require.Equal(t, stored[i].ID, job.ID)
		require.Equal(t, queue.Delivered, job.State)
	}
	require.Len(t, list(t, s), len(stored)+1)
}

func TestReadOnly(t *testing.T) {
	if !inMount(t) {
		return
	}
	dir := t.TempDir()
	mountTmpfs(t, dir, "4m")
	path := filepath.Join(dir, "mail.db")
	s := open(t, path)
	put(t, s, mail(randomBody(100)))
	require.NoError(t, s.Close())
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err := sqlitequeue.Open(path, nil)
	require.ErrorIs(t, err, queue.ErrReadOnly)
	_, err = sqlitequeue.Open(filepath.Join(dir, "new.db"), nil)
	require.ErrorIs(t, err, queue.ErrReadOnly)
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""))
	s = open(t, path)
	require.Len(t, list(t, s), 1)
	require.NoError(t, s.Close())
}
