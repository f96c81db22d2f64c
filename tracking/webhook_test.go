package tracking_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

const (
	hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	nextSecret = "whsec_bmV4dCBzZWNyZXQgb2YgdGhlIHJlY2VpdmVyIQ=="
)

// TestSignature holds us to a value that was computed by the standard with other
// tools: printf %s.%s.%s | openssl dgst -sha256 -mac HMAC.
func TestSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1614265330, 0)))
		header := http.Header{}
		header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
		header.Set("webhook-timestamp", "1614265330")
		const good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		body := []byte(`{"test": 2432232314}`)
		for _, test := range []struct {
			name, signature string
			secrets         []string
			after           time.Duration
			body            string
			good            bool
		}{
			{"good", good, []string{hookSecret}, 0, "", true},
			{"second secret", good, []string{nextSecret, hookSecret}, 0, "", true},
			{"second signature", "v1a,abc v1,AAAA " + good, []string{hookSecret}, 0, "", true},
			{"secret without prefix", good, []string{strings.TrimPrefix(hookSecret, "whsec_")}, 0, "", true},
			{"other secret", good, []string{nextSecret}, 0, "", false},
			{"other body", good, []string{hookSecret}, 0, "{}", false},
			{"no signature", "", []string{hookSecret}, 0, "", false},
			{"other version", "v2" + good[2:], []string{hookSecret}, 0, "", false},
			{"too many signatures", strings.Repeat("v1,AAAA ", 16) + good, []string{hookSecret}, 0, "", false},
			{"almost old", good, []string{hookSecret}, 5 * time.Minute, "", true},
			{"old", good, []string{hookSecret}, 5*time.Minute + time.Second, "", false},
		} {
			header.Set("webhook-signature", test.signature)
			time.Sleep(time.Until(time.Unix(1614265330, 0).Add(test.after)))
			b := body
			if test.body != "" {
				b = []byte(test.body)
			}
			err := tracking.VerifyWebhook(header, b, test.secrets...)
			if test.good {
				require.NoError(t, err, test.name)
			} else {
				require.ErrorIs(t, err, tracking.ErrBadSignature, test.name)
			}
		}
		header.Set("webhook-timestamp", "99999999999999999999")
		require.ErrorIs(t, tracking.VerifyWebhook(header, body, hookSecret), tracking.ErrBadSignature)
		require.ErrorContains(t, tracking.VerifyWebhook(header, body), "without a secret")
		require.ErrorContains(t, tracking.VerifyWebhook(header, body, hookSecret, "whsec_kurz"), "secret at position 2")
	})
}

// receiver answers posted events as it is told to. It is an http.RoundTripper, so
// that time can be simulated.
type receiver struct {
	mu     sync.Mutex
	t      *testing.T
	answer func(n int) (status int, header http.Header, err error) // to the n-th request, from 0
	times  []time.Duration
	events []tracking.Event
	start  time.Time
	n      int
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Since(r.start))
	status, header, err := 204, http.Header(nil), error(nil)
	if r.answer != nil {
		status, header, err = r.answer(r.n)
	}
	r.n++
	if err != nil {
		return nil, err
	}
	e, readErr := tracking.ReadWebhook(req, hookSecret)
	if readErr != nil {
		r.t.Error(readErr)
	}
	if status/100 == 2 {
		r.events = append(r.events, e)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("ok")), Request: req}, nil
}

// hook is a webhook to r, with the time of the bubble.
func hook(t *testing.T, r *receiver, opts tracking.WebhookOptions) *tracking.Webhook {
	t.Helper()
	r.t, r.start = t, time.Now()
	opts.Client = &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w, err := tracking.NewWebhook("https://example.com/hook?token=hush", []string{nextSecret, hookSecret}, &opts)
	require.NoError(t, err)
	return w
}

func TestWebhookCarriesEveryField(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := tracking.Event{
			ID: tracking.NewID(), Type: tracking.Clicked, Time: time.Now().UTC(), Message: tracking.NewID(), Mailing: "0011223344556677",
			Recipient: "ana@example.com", Campaign: "otoño", Stream: "s", Tenant: "t", Tags: []string{"a", "b"}, Meta: map[string]string{"k": "v"},
			URL: "https://example.com/?a=1&b=<2>", Link: 3, IP: netip.MustParseAddr("2001:db8::"), UserAgent: "Thunderbird on Linux",
			Machine: tracking.MachineTooFast | tracking.MachineSweep, First: true, Reason: bounce.MailboxFull, Verdict: bounce.Soft,
			Code: 452, Enhanced: "4.2.2", Diagnostic: "452 4.2.2 lleno", Host: "mx.example.com", Attempt: 2, QueueID: "ABC",
		}
		var r receiver
		w := hook(t, &r, tracking.WebhookOptions{})
		require.NoError(t, w.Record(t.Context(), []tracking.Event{e}))
		require.NoError(t, w.Close(t.Context()))
		require.Equal(t, []tracking.Event{e}, r.events)
		require.ErrorIs(t, w.Record(t.Context(), []tracking.Event{e}), tracking.ErrClosed)
	})
}

func TestWebhookRetries(t *testing.T) {
	t.Parallel()
	after := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	for _, test := range []struct {
		name   string
		answer func(n int) (int, http.Header, error)
		at     []time.Duration // of the attempts, ±10 %
		buried int
	}{
		{"taken at once", nil, []time.Duration{0}, 0},
		{"error, then taken", func(n int) (int, http.Header, error) {
			if n == 0 {
				return 0, nil, errors.New("connection refused")
			}
			return 200, nil, nil
		}, []time.Duration{0, 10 * time.Second}, 0},
		{"never taken", func(int) (int, http.Header, error) { return 500, nil, nil },
			[]time.Duration{0, 10 * time.Second, 70 * time.Second}, 1},
		{"redirect is not followed", func(n int) (int, http.Header, error) {
			return 302, http.Header{"Location": {"https://elsewhere.example.com/"}}, nil
		}, []time.Duration{0, 10 * time.Second, 70 * time.Second}, 1},
		{"gone", func(int) (int, http.Header, error) { return 410, nil, nil }, []time.Duration{0}, 1},
		{"Retry-After", func(n int) (int, http.Header, error) {
			if n == 0 {
				return 429, after("100"), nil
			}
			return 200, nil, nil
		}, []time.Duration{0, 100 * time.Second}, 0},
		{"Retry-After date", func(n int) (int, http.Header, error) {
			if n == 0 {
				return 503, after(time.Now().Add(200 * time.Second).UTC().Format(http.TimeFormat)), nil
			}
			return 200, nil, nil
		}, []time.Duration{0, 200 * time.Second}, 0},
		{"Retry-After is bounded", func(n int) (int, http.Header, error) {
			if n == 0 {
				return 503, after("99999999999"), nil
			}
			return 200, nil, nil
		}, []time.Duration{0, 24 * time.Hour}, 0},
		{"Retry-After is not shorter", func(n int) (int, http.Header, error) {
			if n == 0 {
				return 503, after("-1"), nil
			}
			return 200, nil, nil
		}, []time.Duration{0, 10 * time.Second}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := receiver{answer: test.answer}
				var dead shelf
				w := hook(t, &r, tracking.WebhookOptions{DeadLetter: &dead, Pauses: []time.Duration{10 * time.Second, time.Minute}})
				require.NoError(t, w.Record(t.Context(), numbered(0, 1)))
				time.Sleep(48 * time.Hour)
				synctest.Wait()
				require.Len(t, r.times, len(test.at))
				for i, at := range test.at {
					require.InDelta(t, at.Seconds(), r.times[i].Seconds(), at.Seconds()/10+0.01)
				}
				require.Len(t, dead.all(), test.buried)
				require.Len(t, r.events, 1-test.buried)
				require.NoError(t, w.Close(t.Context()))
			})
		})
	}
}

func TestWebhookManyEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := receiver{answer: func(n int) (int, http.Header, error) {
			if n%3 == 0 {
				return 500, nil, nil
			}
			return 200, nil, nil
		}}
		w := hook(t, &r, tracking.WebhookOptions{Room: 1000})
		require.NoError(t, w.Record(t.Context(), numbered(0, 1000)))
		require.ErrorIs(t, w.Record(t.Context(), numbered(1000, 1900)), tracking.ErrFull)
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		var got []int
		for _, e := range r.events {
			got = append(got, e.Attempt)
		}
		require.ElementsMatch(t, numbers(0, 1000), got)
		require.NoError(t, w.Close(t.Context()))
	})
}

func TestWebhookClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := receiver{answer: func(int) (int, http.Header, error) {
			if down {
				return 500, nil, nil
			}
			return 200, nil, nil
		}}
		var dead shelf
		var out bytes.Buffer
		w := hook(t, &r, tracking.WebhookOptions{DeadLetter: &dead, Log: slog.New(slog.NewTextHandler(&out, nil))})
		require.NoError(t, w.Record(t.Context(), numbered(0, 10)))
		synctest.Wait()
		r.mu.Lock()
		down = false
		r.mu.Unlock()
		require.NoError(t, w.Close(t.Context()), "one more attempt")
		require.Len(t, r.events, 10)
		require.Empty(t, dead.all())
		require.NotContains(t, out.String(), "hush")

		r = receiver{answer: func(int) (int, http.Header, error) { return 500, nil, nil }}
		w = hook(t, &r, tracking.WebhookOptions{DeadLetter: &dead})
		require.NoError(t, w.Record(t.Context(), numbered(0, 10)))
		require.NoError(t, w.Close(t.Context()))
		require.ElementsMatch(t, numbers(0, 10), dead.all())

		r = receiver{answer: func(int) (int, http.Header, error) { return 500, nil, nil }}
		w = hook(t, &r, tracking.WebhookOptions{Pauses: []time.Duration{}})
		require.NoError(t, w.Record(t.Context(), numbered(0, 10)))
		require.NoError(t, w.Close(t.Context()))
		require.Equal(t, int64(10), w.Lost())
	})
}

// hanging never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestWebhookCloseInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dead shelf
		w, err := tracking.NewWebhook("https://example.com/", []string{hookSecret}, &tracking.WebhookOptions{
			Client: &http.Client{Transport: hanging{}}, DeadLetter: &dead, Timeout: 10 * time.Second,
		})
		require.NoError(t, err)
		require.NoError(t, w.Record(t.Context(), numbered(0, 10)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, w.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.ElementsMatch(t, numbers(0, 10), dead.all(), "those under way, too")
	})
}

func TestNewWebhookChecks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, url string
		secrets   []string
		opts      tracking.WebhookOptions
		faults    []string
	}{
		{"loopback", "http://127.0.0.1:1/", []string{hookSecret}, tracking.WebhookOptions{}, nil},
		{"plain http", "http://user:hush@example.com/", []string{hookSecret}, tracking.WebhookOptions{}, []string{"must begin with https://"}},
		{"all at once", "ftp://x", []string{"whsec_AAAA", "hush"}, tracking.WebhookOptions{Room: -1}, []string{"https://", "position 1", "position 2", "room -1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := tracking.NewWebhook(test.url, test.secrets, &test.opts)
			if test.faults == nil {
				require.NoError(t, err)
				return
			}
			for _, fault := range test.faults {
				require.ErrorContains(t, err, fault)
			}
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

func TestReadWebhookChecks(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("a", 1<<20+1)))
	_, err := tracking.ReadWebhook(r, hookSecret)
	require.ErrorContains(t, err, "more than 1048576 bytes")
}

func FuzzVerifyWebhook(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte("{}"))
	f.Add("", "", " v1, ,", []byte(nil))
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		// Nobody guesses a signature.
		require.ErrorIs(t, tracking.VerifyWebhook(header, body, hookSecret), tracking.ErrBadSignature)
		header.Set("Webhook-Timestamp", strconv.FormatInt(time.Now().Unix(), 10))
		require.ErrorIs(t, tracking.VerifyWebhook(header, body, hookSecret), tracking.ErrBadSignature)
		var e tracking.Event
		if json.Unmarshal(body, &e) == nil {
			again, err := json.Marshal(e)
			require.NoError(t, err)
			var same tracking.Event
			require.NoError(t, json.Unmarshal(again, &same))
			require.Equal(t, e, same)
		}
	})
}

func ExampleNewWebhook() {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := tracking.ReadWebhook(r, secret)
		if err != nil {
			http.Error(w, "400 bad webhook", http.StatusBadRequest)
			return
		}
		fmt.Println(e.Type, e.Recipient)
	}))
	defer receiver.Close()

	hook, err := tracking.NewWebhook(receiver.URL, []string{secret}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = hook.Record(context.Background(), []tracking.Event{{ID: tracking.NewID(), Type: tracking.Complained, Recipient: "ana@example.com"}})
	_ = hook.Close(context.Background())
	// Output: complained ana@example.com
}
