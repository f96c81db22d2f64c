package tracking_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

func TestNewChecks(t *testing.T) {
	t.Parallel()
	keys := []tracking.Key{tracking.NewKey(1)}
	for _, test := range []struct {
		name, base string
		keys       []tracking.Key
		opts       tracking.Options
		faults     []string // empty: none
	}{
		{"https", "https://t.example.com", keys, tracking.Options{}, nil},
		{"path", "https://example.com/correo/", keys, tracking.Options{}, nil},
		{"loopback", "http://127.0.0.1:8080", keys, tracking.Options{}, nil},
		{"loopback IPv6", "http://[::1]:8080", keys, tracking.Options{}, nil},
		{"localhost", "http://localhost:8080", keys, tracking.Options{}, nil},
		{"plain http", "http://t.example.com", keys, tracking.Options{}, []string{`"http://t.example.com" must begin with https://`}},
		{"no host", "t.example.com", keys, tracking.Options{}, []string{`"t.example.com" has no host`}},
		{"query", "https://t.example.com/?a=b", keys, tracking.Options{}, []string{"a query"}},
		{"control", "https://t.example.com/\x00", keys, tracking.Options{}, []string{"base URL"}},
		{"no keys", "https://t.example.com", nil, tracking.Options{}, []string{"no keys"}},
		{"short key", "https://t.example.com", []tracking.Key{{ID: 7, Secret: make([]byte, 31)}}, tracking.Options{}, []string{"key 7", "31 bytes"}},
		{"same ID", "https://t.example.com", []tracking.Key{keys[0], keys[0]}, tracking.Options{}, []string{"key 1 is given twice"}},
		{"return domain", "https://t.example.com", keys, tracking.Options{ReturnPath: "bounce.example.com"}, nil},
		{"return mailbox", "https://t.example.com", keys, tracking.Options{ReturnPath: "bounces@example.com"}, nil},
		{"long return mailbox", "https://t.example.com", keys, tracking.Options{ReturnPath: "bounces-of-ours-@example.com"}, []string{"1 to 15"}},
		{"bad return domain", "https://t.example.com", keys, tracking.Options{ReturnPath: "b@a b"}, []string{`"a b" is not a domain`}},
		{"all at once", "ftp://x", nil, tracking.Options{
			Policy: tracking.Policy{Opens: 9}, ReturnPath: "b+c@example.com", FeedbackSender: "abcd",
		}, []string{"https://", "no keys", "mode 9", `"b+c@example.com"`, `"abcd"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tracker, err := tracking.New(test.base, test.keys, &test.opts)
			if len(test.faults) == 0 {
				require.NoError(t, err)
				require.NotNil(t, tracker)
				return
			}
			for _, fault := range test.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	std, url := base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)
	for _, good := range []string{"2:" + std + ",1:" + url, " 2:" + url + " , 1:" + std + " "} {
		keys, err := tracking.ParseKeys(good)
		require.NoError(t, err)
		require.Equal(t, []tracking.Key{{ID: 2, Secret: secret}, {ID: 1, Secret: secret}}, keys)
		again, err := tracking.ParseKeys(tracking.FormatKeys(keys))
		require.NoError(t, err)
		require.Equal(t, keys, again)
	}
	for bad, fault := range map[string]string{
		"":                          "position 1",
		"1:" + url + ",":            "position 2",
		"300:" + url:                "between 0 and 255",
		"1:" + url + ",1:" + url:    "key 1 is given twice",
		"1:AAAA":                    "key 1 has a secret of 3 bytes",
		"1:" + url + ",2:hush!hush": "key 2: the secret is not base64",
	} {
		_, err := tracking.ParseKeys(bad)
		require.ErrorContains(t, err, fault, "%q", bad)
		require.NotContains(t, err.Error(), "hush")
	}
}

func TestKeysAreNotLogged(t *testing.T) {
	t.Parallel()
	key := tracking.Key{ID: 3, Secret: bytes.Repeat([]byte("s3cr3t!!"), 4)}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", key)
	fmt.Fprintf(&out, "%v %+v %#v %s", key, key, key, key)
	require.Contains(t, out.String(), "key 3")
	require.NotContains(t, out.String(), "s3cr3t")
	require.NotContains(t, out.String(), base64.StdEncoding.EncodeToString(key.Secret)[:16])
}

func TestEventID(t *testing.T) {
	t.Parallel()
	message := tracking.NewID()
	id := tracking.EventID(tracking.Bounced, message, "a", "bc")
	require.Equal(t, id, tracking.EventID(tracking.Bounced, message, "a", "bc"))
	require.Equal(t, message.Time(), id.Time())
	for _, other := range []tracking.ID{
		tracking.EventID(tracking.Bounced, message, "ab", "c"),
		tracking.EventID(tracking.Bounced, message, "a", "bc", ""),
		tracking.EventID(tracking.Deferred, message, "a", "bc"),
		tracking.EventID(tracking.Bounced, tracking.NewID(), "a", "bc"),
	} {
		require.NotEqual(t, id, other)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add("2:AAAA,1:")
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := tracking.ParseKeys(s)
		if err != nil {
			return
		}
		again, err := tracking.ParseKeys(tracking.FormatKeys(keys))
		require.NoError(t, err)
		require.Equal(t, keys, again)
		_, err = tracking.New("https://t.example.com", keys, nil)
		require.NoError(t, err)
	})
}
