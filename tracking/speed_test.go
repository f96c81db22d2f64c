//go:build !race

package tracking_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/franqueo/franqueo/tracking"
)

// TestAppendSpeed compares, on real mail, the best of many short turns, which
// other load on the machine disturbs little. It runs where FRANQUEO_SPEED is set.
func TestAppendSpeed(t *testing.T) {
	peer(t, "FRANQUEO_SPEED")
	r := recipient("name", "Lucía")
	var ours, theirs time.Duration
	templates, contents := corpusTemplates(t)
	for i, p := range templates {
		x, y := compareSpeed(t, p, r, contents[i])
		ours, theirs = ours+x, theirs+y
	}
	t.Logf("Append %v, go-message %v: %d times", ours, theirs, theirs/ours)
	require.GreaterOrEqual(t, theirs/ours, time.Duration(40))
}

func compareSpeed(t *testing.T, p *tracking.Template, r *tracking.Recipient, parts []leaf) (ours, theirs time.Duration) {
	t.Helper()
	dst, _, err := p.Append(nil, r)
	require.NoError(t, err)
	ours, theirs = time.Hour, time.Hour
	var out bytes.Buffer
	for range 100 {
		start := time.Now()
		for range 20 {
			dst, _, _ = p.Append(dst[:0], r)
		}
		ours = min(ours, time.Since(start)/20)
		out.Reset()
		start = time.Now()
		require.NoError(t, composeByGoMessage(&out, r, parts))
		theirs = min(theirs, time.Since(start))
	}
	return ours, theirs
}

// TestRewriteSpeed does the same for Rewrite, against a parse and a rendering by
// x/net/html.
func TestRewriteSpeed(t *testing.T) {
	peer(t, "FRANQUEO_SPEED")
	var ours, theirs time.Duration
	var out bytes.Buffer
	dst := make([]byte, 0, 1<<20)
	for _, source := range corpus(t) {
		x, y := time.Hour, time.Hour
		for range 50 {
			start := time.Now()
			dst = tracking.Rewrite(dst[:0], source, func(tracking.Link) (string, bool) { return "https://t.test/c/AAAA/BBBB", true })
			x = min(x, time.Since(start))
			out.Reset()
			start = time.Now()
			root, err := html.Parse(bytes.NewReader(source))
			require.NoError(t, err)
			require.NoError(t, html.Render(&out, root))
			y = min(y, time.Since(start))
		}
		ours, theirs = ours+x, theirs+y
	}
	t.Logf("Rewrite %v, Parse and Render %v: %d times", ours, theirs, theirs/ours)
	require.GreaterOrEqual(t, theirs/ours, time.Duration(6))
}
