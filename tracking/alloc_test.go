//go:build !race

package tracking

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMintAllocates is left out with -race, under which pools forget on purpose.
func TestMintAllocates(t *testing.T) {
	s := testSigner(1)
	dst := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.appendRecipient(dst, kindEngage, spring, letter) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { s.appendLink(dst, spring, 1, "https://example.com/oferta") }))
}
