package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
	"golang.org/x/net/html"
)

// reader reads mail as a client program does: it parses the message, loads the
// images, and follows links, over real HTTP.
type reader struct {
	client *http.Client
}

// newReader returns a reader for which every tracking host is the given address,
// as if DNS said so: mail that was sent before the program was killed names an
// older port.
func newReader(address string) *reader {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return &reader{client: &http.Client{
		Transport:     &http.Transport{DialContext: dial},
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// letter is what the reader sees of a mail.
type letter struct {
	images, links []string
	unsubscribe   string // the https or http URL of List-Unsubscribe
}

var angle = regexp.MustCompile(`<(https?://[^>]+)>`)

// open parses a kept mail.
func (r *reader) open(path string) (*letter, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := mail.CreateReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	l := &letter{}
	if found := angle.FindStringSubmatch(m.Header.Get("List-Unsubscribe")); found != nil {
		l.unsubscribe = found[1]
	}
	for {
		part, err := m.NextPart()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.scan(part.Body)
		}
	}
}

// scan collects what a client would load and what a person can click.
func (l *letter) scan(body io.Reader) {
	for z := html.NewTokenizer(body); z.Next() != html.ErrorToken; {
		token := z.Token()
		for _, a := range token.Attr {
			remote := strings.HasPrefix(a.Val, "http")
			switch {
			case remote && token.Data == "img" && a.Key == "src":
				l.images = append(l.images, a.Val)
			case remote && token.Data == "a" && a.Key == "href":
				l.links = append(l.links, a.Val)
			}
		}
	}
}

// userAgent is a person's.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Thunderbird/142.0"

// load fetches the images, as clients do when a mail is opened.
func (r *reader) load(ctx context.Context, l *letter) error {
	for _, image := range l.images {
		if _, err := r.do(ctx, http.MethodGet, image, "", http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}

// click follows the first link, and returns where it leads.
func (r *reader) click(ctx context.Context, l *letter) (string, error) {
	if len(l.links) == 0 {
		return "", errors.New("the mail has no link")
	}
	return r.do(ctx, http.MethodGet, l.links[0], "", http.StatusFound)
}

// leave unsubscribes in one click (RFC 8058, section 3.1).
func (r *reader) leave(ctx context.Context, l *letter) error {
	_, err := r.do(ctx, http.MethodPost, l.unsubscribe, "List-Unsubscribe=One-Click", http.StatusOK)
	return err
}

func (r *reader) do(ctx context.Context, method, url, body string, want int) (location string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("User-Agent", userAgent)
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := r.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		return "", fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.Header.Get("Location"), err
}
