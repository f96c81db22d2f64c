//go:build unix

package sqlitequeue_test

import (
	"syscall"
	"time"
)

// cpu is how long this process has computed, which tells more than a clock on a
// machine that others use.
func cpu() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
