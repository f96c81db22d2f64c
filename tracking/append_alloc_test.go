//go:build !race

package tracking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

// TestAppendAllocates is left out with -race, under which pools forget on purpose.
func TestAppendAllocates(t *testing.T) {
	p := compile(t, newTracker(t, &tracking.Options{ReturnPath: "bounce.example.com", Sink: discard}), newsletter())
	r := recipient("name", "Lucía")
	dst := make([]byte, 0, 1<<17)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		_, _, err := p.Append(dst, r)
		require.NoError(t, err)
	}), 2.0)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		_, _, err := p.Append(nil, r)
		require.NoError(t, err)
	}), 2.0)
}
