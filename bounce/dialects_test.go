package bounce_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
)

// TestDialects holds Classify to what the providers say of their own replies: a line
// is the verdict, the reason, the MX or "-", and the reply.
func TestDialects(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/dialects.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " ", 4)
		r := bounce.ParseReply(strings.ReplaceAll(f[3], `\n`, "\r\n"))
		r.MX = strings.TrimPrefix(f[2], "-")
		got := bounce.Classify(r)
		require.Equal(t, f[1], got.Reason.String(), "%s %v", line, bounce.Explain(r))
		require.Equal(t, f[0] == "hard", got.Verdict == bounce.Hard, "%s %v", line, bounce.Explain(r))
	}
}
