// The reverse-path is tested from inside: templates bring it out with a message.
package tracking

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func returnPath(t *Tracker, id ID) string {
	return string(t.appendReturnPath(nil, t.signer.appendRecipient(nil, kindReturn, mailing{}, id)))
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com", &Options{ReturnPath: "bounce.example.com"})
	path := returnPath(tracker, letter)
	require.Regexp(t, `^b\+[a-z2-7]{48}@bounce\.example\.com$`, path)
	messageID := string(tracker.signer.appendRecipient(nil, kindReturn, spring, letter)) + "@example.com"
	for _, good := range []string{path, "<" + path + ">", strings.ToUpper(path), messageID, " <" + messageID + ">\r\n", "bounces" + path[1:]} {
		id, err := tracker.Identify(good)
		require.NoError(t, err, "%q", good)
		require.Equal(t, letter, id)
	}
	engage := string(tracker.signer.appendRecipient(nil, kindEngage, mailing{}, letter))
	for _, bad := range []string{"", "<>", "@", "b+@x", "postmaster@example.com", engage + "@example.com", strings.ToUpper(messageID),
		path[1:], path[:20] + path[21:], "b+" + messageID, strings.Repeat("a", 1000)} {
		_, err := tracker.Identify(bad)
		if bad == path[1:] {
			require.NoError(t, err) // "+<token>@…": the token is whole
			continue
		}
		require.ErrorIs(t, err, ErrBadToken, "%q", bad)
		require.Less(t, len(err.Error()), 1100)
	}
}

func TestNoReturnPath(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com", nil)
	require.Empty(t, returnPath(tracker, letter))
}

func FuzzIdentify(f *testing.F) {
	tracker, err := New("https://t.example.com", []Key{testKey(1)}, &Options{ReturnPath: "bounce.example.com"})
	require.NoError(f, err)
	f.Add(returnPath(tracker, letter))
	f.Add(string(tracker.signer.appendRecipient(nil, kindReturn, spring, letter)) + "@example.com")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := tracker.Identify(s); err == nil {
			again, err := tracker.Identify(returnPath(tracker, id))
			require.NoError(t, err)
			require.Equal(t, id, again)
		}
	})
}
