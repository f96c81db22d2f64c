// The handler is tested from inside, so that it needs no template to get tokens.
package tracking

import (
	"context"
	"encoding/binary"
	"errors"
	"html/template"
	"image/gif"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	offer  = "https://example.com/oferta?a=1&b=ñ"
)

// notebook keeps events, after as many failures as are asked for.
type notebook struct {
	mu     sync.Mutex
	events []Event
	calls  int
	fail   int
}

func (n *notebook) Record(_ context.Context, events []Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	if n.calls <= n.fail {
		return errors.New("disk full")
	}
	n.events = append(n.events, events...)
	return nil
}

func (n *notebook) all() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

// mailed are the URLs' paths of one mail.
type mailed struct {
	tracker *Tracker
	id      ID
	kind    tokenKind
}

func (m mailed) click(link uint16, u string) string {
	b := m.tracker.appendClick(nil, spring, link, u)
	return string(m.tracker.signer.appendRecipient(b, m.kind, spring, m.id))[len(m.tracker.base):]
}

func (m mailed) open() string {
	b := m.tracker.signer.appendRecipient(m.tracker.appendPixel(nil, spring), m.kind, spring, m.id)
	return string(b)[len(m.tracker.base):] + pixelSuffix
}

func (m mailed) unsubscribe() string {
	return pathUnsubscribe + string(m.tracker.signer.appendRecipient(nil, kindUnsubscribe, spring, m.id))
}

// mailNow is a mail that was sent a while before now.
func mailNow(t *Tracker) mailed { return mailed{t, idAt(time.Now().Add(-time.Hour)), kindEngage} }

// idAt is a fresh ID of a mail that was queued at this time.
func idAt(at time.Time) ID {
	id := NewID()
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000)
	return id
}

func request(method, path string, edit ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = "198.51.100.77:4711"
	r.Header.Set("User-Agent", chrome)
	for _, f := range edit {
		f(r)
	}
	return r
}

func with(field, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(field, value) }
}

func do(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestClick(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com/m", nil)
	mail := mailNow(tracker)
	for _, prefix := range []string{"", "/m"} { // stripped by the host's mux, or not
		for _, method := range []string{"GET", "HEAD"} {
			res := do(tracker, request(method, prefix+mail.click(3, offer)))
			require.Equal(t, http.StatusFound, res.StatusCode)
			require.Equal(t, "https://example.com/oferta?a=1&b=%C3%B1", res.Header.Get("Location"))
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
			require.Equal(t, "noindex, nofollow", res.Header.Get("X-Robots-Tag"))
			require.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
			require.Empty(t, body(t, res))
			require.Empty(t, res.Cookies())
		}
	}
	require.Equal(t, http.StatusMethodNotAllowed, do(tracker, request("POST", mail.click(3, offer))).StatusCode)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com", nil)
	for _, path := range []string{mailNow(tracker).open(), "/o/", "/o/x/y.gif", "/o/" + strings.Repeat("A", 11) + "/" + strings.Repeat("A", 40) + ".gif"} {
		res := do(tracker, request("GET", path))
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.Equal(t, "image/gif", res.Header.Get("Content-Type"))
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		require.Equal(t, "43", res.Header.Get("Content-Length"))
		image, err := gif.Decode(res.Body)
		require.NoError(t, err)
		require.Equal(t, 1, image.Bounds().Dx())
		_, _, _, alpha := image.At(0, 0).RGBA()
		require.Zero(t, alpha)
		require.Empty(t, body(t, do(tracker, request("HEAD", path))))
	}
}

// TestBadTokens asks for everything that is not quite ours: nothing redirects, and
// nobody is unsubscribed.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	var book notebook
	tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: &book})
	mail := mailNow(tracker)
	click, open, unsubscribe := mail.click(0, offer), mail.open(), mail.unsubscribe()
	l, r := click[3:strings.LastIndexByte(click, '/')], click[strings.LastIndexByte(click, '/')+1:]
	other := string(tracker.signer.appendRecipient(nil, kindEngage, autumn, mail.id))
	returned := string(tracker.signer.appendRecipient(nil, kindReturn, spring, mail.id))
	for _, path := range []string{
		"/", "/c", "/c/", "/u/", "/p/", "/x/" + r, "//example.com/", "/c//example.com",
		"/c/" + l, "/c/" + l + "/", "/c/" + l + "/" + other, "/c/" + l + "/" + r + "/", "/c/" + l + "/" + returned, click[:len(click)-1], click + "A",
		"/c/" + l + unsubscribe[2:], "/u/" + r, "/p/" + r, "/u/" + l, "/u" + open[2:], "/u/" + returned,
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			r := httptest.NewRequest(method, "https://t.example.com/", nil)
			r.URL.Path = path
			res := do(tracker, r)
			require.GreaterOrEqual(t, res.StatusCode, 400, "%s %s", method, path)
			require.Empty(t, res.Header.Get("Location"))
		}
	}
	require.Empty(t, book.all())
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	form := "application/x-www-form-urlencoded"
	multi := "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"
	for _, test := range []struct {
		name, method, kind, body string
		event                    Type   // empty: none
		page                     string // empty: no body
	}{
		{"GET asks", "GET", "", "", "", "Unsubscribe?"},
		{"HEAD asks nothing", "HEAD", "", "", "", ""},
		{"one-click", "POST", form, "List-Unsubscribe=One-Click", Unsubscribed, ""},
		{"one-click with charset", "POST", form + "; charset=utf-8", "List-Unsubscribe=One-Click", Unsubscribed, ""},
		{"one-click multipart", "POST", "multipart/form-data; boundary=x", multi, Unsubscribed, ""},
		{"empty body", "POST", "", "", Unsubscribed, ""},
		{"empty form", "POST", form, "", Unsubscribed, ""},
		{"broken form", "POST", form, "%zz=;&", Unsubscribed, ""},
		{"long form", "POST", form, strings.Repeat("a", 100<<10), Unsubscribed, ""},
		{"page", "POST", form, "action=unsubscribe", Unsubscribed, "You are unsubscribed"},
		{"undo", "POST", form, "action=resubscribe", Resubscribed, "You are subscribed again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var book notebook
			var hooked []Type
			tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: &book, Unsubscribe: func(_ context.Context, e Event) error {
				hooked = append(hooked, e.Type)
				return nil
			}})
			mail := mailNow(tracker)
			for range 2 { // repeating is fine
				r := httptest.NewRequest(test.method, mail.unsubscribe(), strings.NewReader(test.body))
				r.RemoteAddr = "198.51.100.77:4711"
				r.Header.Set("Content-Type", test.kind)
				res := do(tracker, r)
				require.Equal(t, http.StatusOK, res.StatusCode)
				require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
				require.Empty(t, res.Header.Get("Location"))
				require.Empty(t, res.Cookies())
				if got := body(t, res); test.page == "" {
					require.Empty(t, got)
				} else {
					require.Contains(t, got, "<h1>"+test.page)
				}
			}
			events := book.all()
			if test.event == "" {
				require.Empty(t, events)
				require.Empty(t, hooked)
				return
			}
			require.Equal(t, []Type{test.event, test.event}, hooked)
			require.Len(t, events, 2)
			require.Equal(t, test.event, events[0].Type)
			require.Equal(t, mail.id, events[0].Message)
			require.Equal(t, netip.MustParseAddr("198.51.100.0"), events[0].IP)
		})
	}
}

func TestUnsubscribeFails(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, Event) error { return errors.New("no database") }
	for name, opts := range map[string]*Options{
		"hook": {Unsubscribe: broken},
		"sink": {Sink: &notebook{fail: 1}},
		"none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := newTestTracker(t, "https://t.example.com", opts)
			res := do(tracker, request("POST", mailNow(tracker).unsubscribe(), with("Accept-Language", "es-MX, en;q=0.5")))
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			require.NotEmpty(t, res.Header.Get("Retry-After"))
			require.Equal(t, "es", res.Header.Get("Content-Language"))
			require.Contains(t, body(t, res), "No ha funcionado")
		})
	}
}

func TestOwnPages(t *testing.T) {
	t.Parallel()
	pages := template.Must(template.New("unsubscribe").Parse(`{{.Lang}} {{.State}} {{.Mail.Campaign}}`))
	tracker := newTestTracker(t, "https://t.example.com", &Options{Pages: pages, Resolve: func(context.Context, ID, string) (Mail, error) {
		return Mail{Campaign: "<otoño>"}, nil
	}})
	res := do(tracker, request("GET", mailNow(tracker).unsubscribe(), with("Accept-Language", "fr, es;q=0.8, en;q=0.5")))
	require.Equal(t, "es ask &lt;otoño&gt;", body(t, res))
	_, err := New("https://t.example.com", []Key{testKey(1)}, &Options{Pages: template.New("x")})
	require.ErrorContains(t, err, `no template "unsubscribe"`)
	failing := template.Must(template.New("unsubscribe").Parse(`{{.Nothing}}`))
	tracker = newTestTracker(t, "https://t.example.com", &Options{Pages: failing})
	require.Equal(t, http.StatusInternalServerError, do(tracker, request("GET", mailNow(tracker).unsubscribe())).StatusCode)
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	var asked []ID
	tracker := newTestTracker(t, "https://t.example.com", &Options{Preferences: func(w http.ResponseWriter, _ *http.Request, message ID) {
		asked = append(asked, message)
		_, _ = io.WriteString(w, "preferencias")
	}})
	mail := mailNow(tracker)
	path := strings.Replace(mail.unsubscribe(), "/u/", "/p/", 1)
	require.Equal(t, "preferencias", body(t, do(tracker, request("POST", path))))
	require.Equal(t, http.StatusNotFound, do(tracker, request("GET", path+"A")).StatusCode)
	require.Equal(t, []ID{mail.id}, asked)
	plain := newTestTracker(t, "https://t.example.com", nil)
	require.Contains(t, body(t, do(plain, request("GET", path))), "Unsubscribe?")
}

// hits runs requests against a tracker, a second apart, and returns the events.
func hits(t *testing.T, opts Options, requests func(mailed) []*http.Request) (events []Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var book notebook
		opts.Sink = &book
		tracker := newTestTracker(t, "https://t.example.com", &opts)
		for _, r := range requests(mailNow(tracker)) {
			do(tracker, r)
			time.Sleep(time.Second)
		}
		require.Empty(t, book.all(), "events wait for others of their mail")
		time.Sleep(time.Minute)
		require.NoError(t, tracker.Close(t.Context()))
		events = book.all()
	})
	return events
}

func TestEvents(t *testing.T) {
	t.Parallel()
	events := hits(t, Options{
		Resolve: func(_ context.Context, message ID, of string) (Mail, error) {
			return Mail{Recipient: "ana@example.com", Campaign: "otoño", Tags: []string{"a"}, Meta: map[string]string{"k": "v"}}, nil
		},
	}, func(m mailed) []*http.Request {
		return []*http.Request{request("GET", m.open()), request("GET", m.click(2, offer)), request("GET", m.click(2, offer))}
	})
	require.Len(t, events, 3)
	open, click := events[0], events[1]
	require.Equal(t, Event{
		ID: open.ID, Type: Opened, Time: open.Time, Message: open.Message, Mailing: spring.String(),
		Recipient: "ana@example.com", Campaign: "otoño", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
		IP: netip.MustParseAddr("198.51.100.0"), UserAgent: "Chrome on Windows", First: true,
	}, open)
	require.Equal(t, Clicked, click.Type)
	require.Equal(t, offer, click.URL)
	require.Equal(t, 2, click.Link)
	require.True(t, click.First)
	require.False(t, events[2].First)
	require.NotEqual(t, click.ID, events[2].ID, "another second")
	require.Equal(t, time.UTC, click.Time.Location())
}

func TestSameHitIsOneEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var book notebook
		tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: &book})
		mail := mailNow(tracker)
		for range 5 {
			do(tracker, request("GET", mail.click(2, offer)))
		}
		require.NoError(t, tracker.Close(t.Context()))
		require.Len(t, book.all(), 1)
	})
}

func TestMachines(t *testing.T) {
	t.Parallel()
	scanner := netip.MustParsePrefix("203.0.113.0/24")
	from := func(addr string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = addr + ":1" }
	}
	for _, test := range []struct {
		name string
		want Machine
		edit func(*http.Request)
	}{
		{"person", 0, func(*http.Request) {}},
		{"HEAD", MachineHead, func(r *http.Request) { r.Method = "HEAD" }},
		{"no user agent", MachineNoAgent, func(r *http.Request) { r.Header.Del("User-Agent") }},
		{"Apple", MachineApplePrivacy, with("User-Agent", "Mozilla/5.0")},
		{"Gmail proxy", 0, with("User-Agent", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)")},
		{"Gmail prefetch", MachinePrefetch, with("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0")},
		{"scanner", MachineScanner, with("User-Agent", "BarracudaCentral")},
		{"robot", MachineScanner, with("User-Agent", "Mozilla/5.0 (compatible; bingbot/2.0)")},
		{"telephone named like a robot", 0, with("User-Agent", "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36")},
		{"Sec-Purpose", MachinePrefetch, with("Sec-Purpose", "prefetch;prerender")},
		{"Purpose", MachinePrefetch, with("Purpose", "prefetch")},
		{"X-Purpose", MachinePrefetch, with("X-Purpose", "preview")},
		{"X-Moz", MachinePrefetch, with("X-Moz", "prefetch")},
		{"network", MachineNetwork, from("203.0.113.9")},
		{"mapped network", MachineNetwork, from("[::ffff:203.0.113.9]")},
		{"two reasons", MachineHead | MachineNetwork, func(r *http.Request) { r.Method = "HEAD"; r.RemoteAddr = "203.0.113.1:2" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			events := hits(t, Options{Scanners: []netip.Prefix{scanner}}, func(m mailed) []*http.Request {
				return []*http.Request{request("GET", m.click(0, offer), test.edit)}
			})
			require.Len(t, events, 1)
			require.Equal(t, test.want.String(), events[0].Machine.String())
			require.Equal(t, test.want == 0, events[0].First)
		})
	}
}

func TestProxiesShowNoAddress(t *testing.T) {
	t.Parallel()
	events := hits(t, Options{}, func(m mailed) []*http.Request {
		return []*http.Request{request("GET", m.open(), with("User-Agent", "(via ggpht.com GoogleImageProxy)"))}
	})
	require.Zero(t, events[0].IP)
	require.Equal(t, "Gmail (image proxy)", events[0].UserAgent)
}

func TestSweep(t *testing.T) {
	t.Parallel()
	machines := func(events []Event) (out []string) {
		for _, e := range events {
			out = append(out, string(e.Type)+" "+e.Machine.String())
		}
		return out
	}
	mac := with("User-Agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)")
	events := hits(t, Options{}, func(m mailed) []*http.Request {
		return []*http.Request{
			request("GET", m.open(), mac), request("GET", m.open()),
			request("GET", m.click(0, offer)), request("GET", m.click(1, offer)), request("GET", m.click(2, offer)),
		}
	})
	require.Equal(t, []string{"opened ", "opened sweep", "clicked sweep", "clicked sweep", "clicked sweep"}, machines(events))
	events = hits(t, Options{}, func(m mailed) []*http.Request {
		return []*http.Request{request("GET", m.click(0, offer)), request("GET", m.click(1, offer)), request("GET", m.click(1, offer))}
	})
	require.Equal(t, []string{"clicked ", "clicked ", "clicked "}, machines(events))
	events = hits(t, Options{Settle: 5 * time.Minute}, func(m mailed) []*http.Request {
		var rs []*http.Request
		for i := range 36 { // another link every 12 seconds
			rs = append(rs, request("GET", m.click(uint16(i/12), offer)))
		}
		return rs
	})
	require.NotContains(t, machines(events), "clicked sweep")
}

func TestHoneypot(t *testing.T) {
	t.Parallel()
	const hidden = "https://example.com/nadie"
	other := with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	events := hits(t, Options{Honeypot: hidden}, func(m mailed) []*http.Request {
		return []*http.Request{
			request("GET", m.open()), request("GET", m.click(0, offer)), request("GET", m.click(1, hidden)), request("GET", m.click(0, offer), other),
		}
	})
	var got []string
	for _, e := range events {
		got = append(got, e.Machine.String())
	}
	require.Equal(t, []string{"honeypot", "honeypot", "honeypot", ""}, got)
}

func TestTooFast(t *testing.T) {
	t.Parallel()
	delivered := time.Hour
	for _, test := range []struct {
		name  string
		after time.Duration
		opts  Options
		want  Machine
	}{
		{"after queueing", time.Second, Options{}, MachineTooFast},
		{"later", 3 * time.Second, Options{}, 0},
		{"after delivery", delivered + time.Second, Options{Resolve: func(_ context.Context, id ID, _ string) (Mail, error) {
			return Mail{Delivered: id.Time().Add(delivered)}, nil
		}}, MachineTooFast},
		{"later after delivery", delivered + 3*time.Second, Options{Resolve: func(_ context.Context, id ID, _ string) (Mail, error) {
			return Mail{Delivered: id.Time().Add(delivered)}, nil
		}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			events := hits(t, test.opts, func(m mailed) []*http.Request {
				m.id = idAt(time.Now().Add(-test.after))
				return []*http.Request{request("GET", m.click(0, offer))}
			})
			require.Equal(t, test.want, events[0].Machine)
		})
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	full := Policy{Opens: Full, Clicks: Full}
	consent := func(p Policy, err error) func(context.Context, ID) (Policy, error) {
		return func(context.Context, ID) (Policy, error) { return p, err }
	}
	for _, test := range []struct {
		name string
		opts Options
		kind tokenKind
		edit func(*http.Request)
		want Mode
	}{
		{"full", Options{Policy: full}, kindFull, nil, Full},
		{"token says individual", Options{Policy: full}, kindEngage, nil, Individual},
		{"tracker says individual", Options{}, kindFull, nil, Individual},
		{"token says anonymous", Options{Policy: full}, kindAnonymous, nil, Anonymous},
		{"tracker says anonymous", Options{Policy: Policy{Clicks: Anonymous}}, kindFull, nil, Anonymous},
		{"tracker says off", Options{Policy: Policy{Clicks: Off}}, kindFull, nil, Off},
		{"consent restricts", Options{Policy: full, Consent: consent(Policy{Clicks: Anonymous}, nil)}, kindFull, nil, Anonymous},
		{"consent is withdrawn", Options{Policy: full, Consent: consent(Policy{Opens: Off, Clicks: Off}, nil)}, kindFull, nil, Off},
		{"consent cannot widen", Options{Consent: consent(full, nil)}, kindFull, nil, Individual},
		{"consent to opens alone", Options{Policy: full, Consent: consent(Policy{Opens: Off}, nil)}, kindFull, nil, Full},
		{"no answer", Options{Policy: full, Consent: consent(full, errors.New("no database"))}, kindFull, nil, Anonymous},
		{"wrong answer", Options{Policy: full, Consent: consent(Policy{Opens: 77}, nil)}, kindFull, nil, Anonymous},
		{"Sec-GPC", Options{Policy: full}, kindFull, with("Sec-GPC", "1"), Anonymous},
		{"DNT", Options{Policy: full}, kindFull, with("DNT", "1"), Anonymous},
		{"DNT 0", Options{Policy: full}, kindFull, with("DNT", "0"), Full},
		{"DNT ignored", Options{Policy: full, IgnorePrivacySignals: true}, kindFull, with("DNT", "1"), Full},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.opts.Resolve = func(_ context.Context, id ID, _ string) (Mail, error) {
				return Mail{Recipient: "ana@example.com", Campaign: "otoño", Meta: map[string]string{"nif": "X"}}, nil
			}
			var sent ID
			events := hits(t, test.opts, func(m mailed) []*http.Request {
				m.kind, sent = test.kind, m.id
				r := request("GET", m.click(0, offer))
				if test.edit != nil {
					test.edit(r)
				}
				return []*http.Request{r}
			})
			if test.want == Off {
				require.Empty(t, events)
				return
			}
			require.Len(t, events, 1)
			e := events[0]
			require.Equal(t, "otoño", e.Campaign)
			require.Equal(t, spring.String(), e.Mailing)
			switch test.want {
			case Full:
				require.Equal(t, "198.51.100.77", e.IP.String())
				require.Equal(t, chrome, e.UserAgent)
				require.Equal(t, sent, e.Message)
			case Individual:
				require.Equal(t, "198.51.100.0", e.IP.String())
				require.Equal(t, "Chrome on Windows", e.UserAgent)
				require.Equal(t, "ana@example.com", e.Recipient)
			case Anonymous:
				require.Zero(t, e.Message)
				require.Zero(t, e.ID.Time().Unix(), "the ID tells nothing of the mail")
				require.Empty(t, e.Recipient)
				require.Empty(t, e.Meta)
				require.Zero(t, e.IP)
				require.False(t, e.First)
			}
		})
	}
}

func TestOldMailIsNotRecorded(t *testing.T) {
	t.Parallel()
	events := hits(t, Options{MaxAge: 24 * time.Hour}, func(m mailed) []*http.Request {
		m.id = idAt(time.Now().Add(-25 * time.Hour))
		r := request("GET", m.click(0, offer))
		require.Equal(t, http.StatusFound, do(m.tracker, r).StatusCode)
		return []*http.Request{r}
	})
	require.Empty(t, events)
}

func TestFailingSinkGetsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := notebook{fail: 5}
		tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: &book})
		for range 3 {
			start := time.Now()
			do(tracker, request("GET", mailNow(tracker).click(0, offer)))
			require.Zero(t, time.Since(start), "nothing delays a redirect")
			time.Sleep(3 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		require.Len(t, book.all(), 3)
		require.Zero(t, tracker.Dropped())
	})
}

func TestHangingSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := SinkFunc(func(ctx context.Context, _ []Event) error { <-ctx.Done(); return ctx.Err() })
		tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: hanging, Settle: -1})
		for range 10 {
			start := time.Now()
			do(tracker, request("GET", mailNow(tracker).click(0, offer)))
			require.Zero(t, time.Since(start))
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, tracker.Close(ctx), context.DeadlineExceeded)
		time.Sleep(recordTimeout) // for the call under way
	})
}

func TestCloseRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := notebook{fail: 3}
		tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: &book})
		do(tracker, request("GET", mailNow(tracker).click(0, offer)))
		require.NoError(t, tracker.Close(t.Context()))
		require.Len(t, book.all(), 1)
		do(tracker, request("GET", mailNow(tracker).click(0, offer)))
		require.Equal(t, int64(1), tracker.Dropped(), "after Close")
	})
}

func TestCloseWithNothing(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker(t, "https://t.example.com", nil)
	require.Equal(t, http.StatusFound, do(tracker, request("GET", mailNow(tracker).click(0, offer))).StatusCode)
	require.NoError(t, tracker.Close(t.Context()))
	require.NoError(t, tracker.Close(t.Context()), "again")
	require.Zero(t, tracker.Dropped())
}

// TestFlood sends more hits than fit, of one mail and of many.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n int
		count := SinkFunc(func(_ context.Context, events []Event) error { n += len(events); return nil })
		tracker := newTestTracker(t, "https://t.example.com", &Options{Sink: count})
		const extra = 1000
		tracker.recorder.busy <- struct{}{} // as if a hook took its time
		for i := range 2*maxHits + extra {
			id := letter
			if i%2 == 0 {
				id = ID{0: 1, 12: byte(i >> 16), 13: byte(i >> 8), 14: byte(i)}
			}
			tracker.recorder.add(&hit{typ: Clicked, kind: kindEngage, id: id, link: uint16(i), at: time.Now(), agent: tracker.agentOf(chrome)})
		}
		require.Equal(t, int64(extra), tracker.Dropped())
		<-tracker.recorder.busy
		require.NoError(t, tracker.Close(t.Context()))
		require.Equal(t, int64(2*maxHits+extra), int64(n)+tracker.Dropped())
	})
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	events := hits(t, Options{Policy: Policy{Clicks: Full}, ClientIP: func(r *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(r.Header.Get("CF-Connecting-IP"))
		return addr
	}}, func(m mailed) []*http.Request {
		m.kind = kindFull
		return []*http.Request{request("GET", m.click(0, offer), with("CF-Connecting-IP", "::ffff:203.0.113.5")), request("GET", m.click(1, offer))}
	})
	require.Equal(t, "203.0.113.5", events[0].IP.String())
	require.False(t, events[1].IP.IsValid())
}

func TestTrustProxies(t *testing.T) {
	t.Parallel()
	trust := TrustProxies(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32"))
	for _, test := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"not a proxy", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"proxy", "10.9.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"IPv6 proxy", "[2001:db8::1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"forged first", "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.1, 10.2.3.4"}, "198.51.100.1"},
		{"two fields", "10.0.0.1:1", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1"},
		{"nothing said", "10.0.0.1:1", nil, "10.0.0.1"},
		{"nonsense", "10.0.0.1:1", []string{"198.51.100.1, nonsense"}, "10.0.0.1"},
		{"no address", "@", nil, "invalid IP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.remote
			r.Header["X-Forwarded-For"] = test.forwarded
			require.Equal(t, test.want, trust(r).String())
		})
	}
}

func FuzzServeHTTP(f *testing.F) {
	var book notebook
	tracker, err := New("https://t.example.com/m", []Key{testKey(1)}, &Options{Sink: &book, Settle: -1})
	require.NoError(f, err)
	mail := mailed{tracker, letter, kindEngage}
	own := mail.click(1, "https://example.com/")
	for _, path := range []string{own, "/m" + own, mail.open(), mail.unsubscribe(), "/p/x", "//", "/c/../c/"} {
		f.Add("GET", path, "es")
		f.Add("POST", path, "en")
	}
	f.Fuzz(func(t *testing.T, method, path, language string) {
		r := httptest.NewRequest("GET", "/", strings.NewReader("List-Unsubscribe=One-Click"))
		r.Method, r.URL.Path = method, path
		r.Header.Set("Accept-Language", language)
		before := len(book.all())
		res := do(tracker, r)
		if to := res.Header.Get("Location"); to != "" {
			require.Equal(t, "https://example.com/", to)
			require.True(t, strings.HasSuffix(path, own))
		}
		if method != "POST" {
			for _, e := range book.all()[before:] {
				require.NotEqual(t, Unsubscribed, e.Type)
			}
		}
	})
}
