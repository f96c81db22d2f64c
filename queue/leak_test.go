package queue_test

import (
	"runtime"
	"strings"
	"time"
)

// goroutines returns the stacks of goroutines that run code of ours, after a
// moment for those that are about to end; empty is as it should be.
func goroutines() (left string) {
	for range 50 {
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		ours := stacks[:0]
		for _, stack := range stacks {
			if strings.Contains(stack, "franqueo/franqueo/") && !strings.Contains(stack, "queue_test.goroutines") {
				ours = append(ours, stack)
			}
		}
		if len(ours) == 0 {
			return ""
		}
		left = strings.Join(ours, "\n\n")
		time.Sleep(100 * time.Millisecond)
	}
	return left
}
