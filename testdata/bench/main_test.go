package main

import (
	"testing"
	"time"
)

// TestCandidates: every sender reaches the sink, in each of its forms.
func TestCandidates(t *testing.T) {
	for _, extension := range []string{"CHUNKING", "PIPELINING"} {
		for _, useTLS := range []bool{false, true} {
			addr := make(chan string, 1)
			go func() { t.Error(runSink(extension, time.Millisecond, useTLS, func(a string) { addr <- a })) }()
			s := setting{addr: <-addr, tls: useTLS, callers: 3, message: newMessage(10 << 10), time: 40 * time.Millisecond}
			for _, c := range candidates(extension) {
				r, err := measure(s, c)
				if err != nil || r.rate == 0 {
					t.Errorf("%s with %s, TLS %t: %.0f messages a second, %v", c.name, extension, useTLS, r.rate, err)
				}
			}
		}
	}
}
