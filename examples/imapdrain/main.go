// Imapdrain reads returned mail out of a mailbox on an IMAP server, says what each
// report means, and marks it as seen when it was understood.
//
//	IMAP_URL=imaps://user:password@imap.example.com/INBOX go run .
//
// A real program would call its queue's Report where this one prints. Mail that is
// no report stays unseen, for people to read. If it stops halfway, it goes on where
// it was: what is marked was printed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/franqueo/franqueo/bounce"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("IMAP_URL"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "imapdrain:", err)
		os.Exit(1)
	}
}

// run drains the mailbox of an URL.
func run(ctx context.Context, mailbox string, out io.Writer) error {
	u, err := url.Parse(mailbox)
	if err != nil || u.Host == "" {
		return errors.New("IMAP_URL is not of the form imaps://user:password@host/INBOX")
	}
	c, err := dial(u)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := drain(c, u, func(r *bounce.Report) error { return show(out, r) }); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return c.Logout().Wait()
}

// dial connects with TLS, unless the scheme is imap and the host is this machine.
func dial(u *url.URL) (*imapclient.Client, error) {
	switch {
	case u.Scheme == "imaps" && u.Port() == "":
		return imapclient.DialTLS(u.Host+":993", nil)
	case u.Scheme == "imaps":
		return imapclient.DialTLS(u.Host, nil)
	case u.Scheme == "imap" && strings.HasPrefix(u.Hostname(), "127."):
		return imapclient.DialInsecure(u.Host, nil)
	}
	return nil, fmt.Errorf("scheme %q: want imaps, or imap on 127.0.0.1", u.Scheme)
}

// drain gives each unseen mail to handle, and marks those that it took.
func drain(c *imapclient.Client, u *url.URL, handle func(*bounce.Report) error) error {
	password, _ := u.User.Password()
	if err := c.Login(u.User.Username(), password).Wait(); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	box := strings.TrimPrefix(u.Path, "/")
	if box == "" {
		box = "INBOX"
	}
	if _, err := c.Select(box, nil).Wait(); err != nil {
		return fmt.Errorf("select %s: %w", box, err)
	}
	unseen, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	for _, uid := range unseen.AllUIDs() {
		report, err := fetch(c, uid)
		if err != nil {
			return fmt.Errorf("fetch mail %d: %w", uid, err)
		}
		if report.Kind == bounce.NotReport {
			continue
		}
		if err := handle(report); err != nil {
			return fmt.Errorf("mail %d: %w", uid, err)
		}
		seen := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}
		if err := c.Store(imap.UIDSetNum(uid), seen, nil).Close(); err != nil {
			return fmt.Errorf("mark mail %d: %w", uid, err)
		}
	}
	return nil
}

// fetch parses one mail while it comes in, without marking it.
func fetch(c *imapclient.Client, uid imap.UID) (*bounce.Report, error) {
	whole := &imap.FetchItemBodySection{Peek: true}
	cmd := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}})
	report, err := parse(cmd)
	return report, errors.Join(err, cmd.Close())
}

func parse(cmd *imapclient.FetchCommand) (*bounce.Report, error) {
	message := cmd.Next()
	if message == nil {
		return nil, errors.New("the server does not have it any more")
	}
	for item := message.Next(); item != nil; item = message.Next() {
		if section, ok := item.(imapclient.FetchItemDataBodySection); ok {
			return bounce.Parse(section.Literal)
		}
	}
	return nil, errors.New("the server sent no body")
}

// show prints what a report means.
func show(out io.Writer, r *bounce.Report) error {
	for _, one := range r.Recipients {
		if _, err := fmt.Fprintf(out, "%s: %s: %s, %s: %s\n", r.Kind, one.Address(), one.Reason, one.Verdict, one.Action); err != nil {
			return err
		}
	}
	return nil
}
