//go:build unix

package sqlitequeue

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/franqueo/franqueo/queue"
)

// lock takes the file for this process until it is closed, or the process ends.
// The lock is on a file of its own, so that others can still read the database.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+"-lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", queue.ErrLocked, path)
	}
	return nil, fmt.Errorf("lock %s-lock: %w", path, err)
}
