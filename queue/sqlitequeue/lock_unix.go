//go:build unix

package sqlitequeue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/franqueo/franqueo/queue"
)

// lock takes the file for this process until it is closed, or the process ends.
// The lock is on a file of its own, so that others can still read the database.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path+"-lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return held{f}, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", queue.ErrLocked, path)
	}
	return nil, fmt.Errorf("lock %s-lock: %w", path, err)
}

// held is a file with a lock on it. A process that is just being started has a copy
// of all open files for a moment, so closing ours would not always unlock it.
type held struct{ *os.File }

func (h held) Close() error {
	return errors.Join(syscall.Flock(int(h.Fd()), syscall.LOCK_UN), h.File.Close())
}
