package sqlitequeue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/franqueo/franqueo/queue"
)

// errSharing is ERROR_SHARING_VIOLATION.
const errSharing = syscall.Errno(32)

// lock takes the file for this process until it is closed, or the process ends.
// The lock is on a file of its own, which is opened unshared.
func lock(path string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path + "-lock")
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharing) {
		return nil, fmt.Errorf("%w: %s", queue.ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s-lock: %w", path, err)
	}
	return os.NewFile(uintptr(h), path+"-lock"), nil
}
