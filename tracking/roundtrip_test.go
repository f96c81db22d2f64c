package tracking_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/tracking"
)

var offerMessage = tracking.Message{
	From:     netmail.Address{Name: "Tienda", Address: "hola@tienda.example"},
	Subject:  "Hola {{name}}",
	HTML:     `<html><body><p>Hola {{name}}: <a href="https://tienda.example/oferta?a=1&amp;b=2">la oferta</a>, <a href="{{unsubscribe}}">baja</a>, <a href="{{tracking_preferences}}">preferencias</a></p></body></html>`,
	Campaign: "otoño", Stream: "news", Tenant: "acme", Tags: []string{"a"}, Meta: map[string]string{"list": "7"},
}

// received is what a mail client finds in a copy.
type received struct {
	tracking.Envelope
	click, open, unsubscribe, preferences, oneClick string
}

var urls = regexp.MustCompile(`(?:href|src)="(https?://[^"]*)"`)

// copyOf compiles a message, renders it for a recipient, and reads the copy with a
// library that is not ours.
func copyOf(t *testing.T, tracker *tracking.Tracker, m *tracking.Message, r *tracking.Recipient) (got received) {
	t.Helper()
	template, err := tracker.Compile(m)
	require.NoError(t, err)
	wire, envelope, err := template.Append(nil, r)
	require.NoError(t, err)
	got.Envelope = envelope
	reader, err := mail.CreateReader(strings.NewReader(string(wire)))
	require.NoError(t, err)
	got.oneClick = strings.Trim(strings.Split(reader.Header.Get("List-Unsubscribe"), ",")[0], "<>")
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return got
		}
		require.NoError(t, err)
		if kind, _, _ := part.Header.(*mail.InlineHeader).ContentType(); kind != "text/html" {
			continue
		}
		body, err := io.ReadAll(part.Body)
		require.NoError(t, err)
		for _, found := range urls.FindAllStringSubmatch(string(body), -1) {
			for path, to := range map[string]*string{"/c/": &got.click, "/o/": &got.open, "/u/": &got.unsubscribe, "/p/": &got.preferences} {
				if strings.Contains(found[1], path) {
					*to = found[1]
				}
			}
		}
	}
}

// idNow is an ID by the time of the bubble.
func idNow(t *testing.T) tracking.ID {
	t.Helper()
	ms := fmt.Sprintf("%012x", time.Now().UnixMilli())
	id, err := tracking.ParseID(ms[:8] + "-" + ms[8:] + tracking.NewID().String()[13:])
	require.NoError(t, err)
	return id
}

func visit(h http.Handler, method, url string) *http.Response {
	r := httptest.NewRequest(method, url, nil)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.3.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestRoundTrip follows a mail from the message to its events.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		policy *tracking.Policy
		opts   tracking.Options
	}{
		{"individual", nil, tracking.Options{}},
		{"full", nil, tracking.Options{Policy: tracking.Policy{Opens: tracking.Full, Clicks: tracking.Full}}},
		{"anonymous", &tracking.Policy{Opens: tracking.Anonymous, Clicks: tracking.Anonymous}, tracking.Options{}},
		{"off", &tracking.Policy{Opens: tracking.Off, Clicks: tracking.Off}, tracking.Options{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s shelf
				test.opts.Sink, test.opts.ReturnPath = &s, "rebotes.tienda.example"
				tracker, err := tracking.New("https://t.tienda.example/m", []tracking.Key{tracking.NewKey(1)}, &test.opts)
				require.NoError(t, err)
				id := idNow(t)
				got := copyOf(t, tracker, &offerMessage, &tracking.Recipient{
					ID: id, To: netmail.Address{Address: "ana@example.com"}, Fields: map[string]string{"name": "Ana"}, Policy: test.policy,
				})
				for _, ref := range []string{got.ReturnPath, got.MessageID, "<" + got.MessageID + ">"} {
					named, err := tracker.Identify(ref)
					require.NoError(t, err)
					require.Equal(t, id, named)
				}
				require.Equal(t, got.unsubscribe, got.oneClick)
				time.Sleep(time.Hour)
				if test.name == "off" {
					require.Empty(t, got.click+got.open)
					return
				}
				res := visit(tracker, "GET", got.click)
				require.Equal(t, "https://tienda.example/oferta?a=1&b=2", res.Header.Get("Location"))
				require.Equal(t, http.StatusOK, visit(tracker, "GET", got.open).StatusCode)
				require.Equal(t, http.StatusOK, visit(tracker, "GET", got.preferences).StatusCode)
				require.Equal(t, http.StatusOK, visit(tracker, "POST", got.oneClick).StatusCode)
				require.NoError(t, tracker.Close(t.Context()))

				events := map[tracking.Type]tracking.Event{}
				for _, call := range s.calls {
					for _, e := range call {
						events[e.Type] = e
					}
				}
				require.Len(t, events, 3)
				require.Equal(t, id, events[tracking.Unsubscribed].Message)
				for _, e := range []tracking.Event{events[tracking.Opened], events[tracking.Clicked]} {
					require.Equal(t, "otoño news acme [a]", fmt.Sprint(e.Campaign, " ", e.Stream, " ", e.Tenant, " ", e.Tags), "from the template")
					require.Zero(t, e.Machine)
					require.Equal(t, test.name == "anonymous", e.Message.IsZero())
					require.Equal(t, test.name == "anonymous", e.Meta == nil)
					require.Equal(t, test.name == "full", strings.HasPrefix(e.UserAgent, "Mozilla/"))
				}
			})
		})
	}
}

// TestCopiesDoNotMix puts the recipient of one mailing on the link of another.
func TestCopiesDoNotMix(t *testing.T) {
	t.Parallel()
	tracker, err := tracking.New("https://t.tienda.example", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: &shelf{}})
	require.NoError(t, err)
	to := &tracking.Recipient{ID: tracking.NewID(), To: netmail.Address{Address: "ana@example.com"}, Fields: map[string]string{"name": "Ana"}}
	other := offerMessage
	other.HTML = strings.Replace(other.HTML, "oferta", "otra", 1)
	a, b := copyOf(t, tracker, &offerMessage, to), copyOf(t, tracker, &other, to)
	cut := strings.LastIndexByte(a.click, '/')
	mixed := a.click[:cut] + b.click[strings.LastIndexByte(b.click, '/'):]
	require.Equal(t, http.StatusFound, visit(tracker, "GET", a.click).StatusCode)
	require.Equal(t, http.StatusFound, visit(tracker, "GET", b.click).StatusCode)
	res := visit(tracker, "GET", mixed)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Empty(t, res.Header.Get("Location"))
}

func ExampleTracker() {
	sink := tracking.SinkFunc(func(_ context.Context, events []tracking.Event) error {
		for _, e := range events {
			fmt.Println(e.Type, "with", e.UserAgent)
		}
		return nil
	})
	// In a program: ParseKeys(os.Getenv("TRACKING_KEYS")), and http.Handle("/", tracker).
	tracker, err := tracking.New("http://127.0.0.1:8080", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{Sink: sink})
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := tracker.Compile(&tracking.Message{
		From:     netmail.Address{Name: "Tienda", Address: "hola@tienda.example"},
		Subject:  "La oferta de otoño",
		HTML:     `<p>Mira <a href="https://tienda.example/oferta">la oferta</a>.</p>`,
		Campaign: "otoño",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(template.Links()[0].URL)
	mail, _, err := template.Append(nil, &tracking.Recipient{To: netmail.Address{Address: "ana@example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The reader unsubscribes from within the mail client, which posts to this URL.
	url := regexp.MustCompile(`<(http[^>]*/u/[^>]*)>`).FindSubmatch(mail)[1]
	request := httptest.NewRequest("POST", string(url), strings.NewReader("List-Unsubscribe=One-Click"))
	request.Header.Set("User-Agent", "Thunderbird/140.0")
	answer := httptest.NewRecorder()
	tracker.ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	// Output:
	// https://tienda.example/oferta
	// unsubscribed with Thunderbird
	// 200
}

func ExampleParseKeys() {
	secret := "q3ewsqpjbGrZq3H5Z1xqW2cMDnvCzYwQwRz1c6mZ0fE"
	keys, err := tracking.ParseKeys("2:" + secret + ",1:" + secret)
	fmt.Println(keys, err)
	// Output: [key 2 key 1] <nil>
}

func ExampleTracker_Identify() {
	tracker, err := tracking.New("https://t.tienda.example", []tracking.Key{tracking.NewKey(1)}, &tracking.Options{ReturnPath: "rebotes.tienda.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := tracker.Compile(&tracking.Message{From: netmail.Address{Address: "hola@tienda.example"}, Subject: "Hola", Text: "Hola"})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := tracking.NewID()
	_, envelope, err := template.Append(nil, &tracking.Recipient{ID: id, To: netmail.Address{Address: "ana@example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A server returns the mail to the reverse-path.
	returned, err := tracker.Identify(envelope.ReturnPath)
	fmt.Println(returned == id, err)
	_, err = tracker.Identify("b+forged@rebotes.tienda.example")
	fmt.Println(err)
	// Output:
	// true <nil>
	// tracking: "b+forged@rebotes.tienda.example": not a token of ours
}

func ExampleTrustProxies() {
	clientIP := tracking.TrustProxies(netip.MustParsePrefix("10.0.0.0/8"))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "192.0.2.1, 198.51.100.7")
	fmt.Println(clientIP(r))
	// Output: 198.51.100.7
}

func ExampleEventID() {
	message, _ := tracking.ParseID("0190a8e0-0000-7000-8000-000000000001")
	fmt.Println(tracking.EventID(tracking.Delivered, message, "1"))
	fmt.Println(tracking.EventID(tracking.Delivered, message, "1"))
	// Output:
	// 0190a8e0-0000-8130-8e24-4fd4f56b78aa
	// 0190a8e0-0000-8130-8e24-4fd4f56b78aa
}

func ExampleMode() {
	var mode tracking.Mode
	err := mode.UnmarshalText([]byte("anonymous"))
	fmt.Println(mode, mode < tracking.Individual, err)
	// Output: anonymous true <nil>
}
