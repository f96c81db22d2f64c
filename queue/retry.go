package queue

import (
	"math/rand/v2"
	"time"
)

// retryDelays are the waits after the first, second, … counted attempt; the last
// repeats until the job expires (RFC 5321, section 4.5.4.1, asks for at least 30
// minutes on average and for four to five days in all).
var retryDelays = [...]time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour,
}

// retryDelay is the wait after the attempt of this number, counted from 1, spread
// by ±20 % so that what failed together does not come back together.
func retryDelay(delays []time.Duration, attempt int) time.Duration {
	d := delays[min(max(attempt, 1), len(delays))-1]
	return d + time.Duration((rand.Float64()*0.4-0.2)*float64(d))
}
