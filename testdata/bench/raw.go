package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// rawWindow is how many messages the raw client keeps in flight.
const rawWindow = 32

func dial(s setting) (net.Conn, error) {
	if s.tls {
		return tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	}
	return net.Dial("tcp", s.addr)
}

// rawClient speaks SMTP over one connection and checks nothing but the number of
// replies: what a sender could reach at best.
type rawClient struct {
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	flight []byte
	body   []byte
}

func dialRaw(s setting) (*rawClient, error) {
	conn, err := dial(s)
	if err != nil {
		return nil, err
	}
	c := &rawClient{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), w: bufio.NewWriterSize(conn, 64<<10)}
	if err := c.replies(1); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("EHLO bench.example.com\r\n")); err != nil {
		return nil, err
	}
	return c, c.replies(4)
}

// replies reads lines and looks only at their first digit.
func (c *rawClient) replies(n int) error {
	for range n {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' {
			return fmt.Errorf("raw: %s", bytes.TrimSpace(line))
		}
	}
	return nil
}

const envelope = "MAIL FROM:<ana@example.com>\r\nRCPT TO:<luis@example.com>\r\n"

// startRawWindow keeps a window of BDAT messages in flight on each connection.
func startRawWindow(s setting) (func(context.Context, int) (int, error), func(), error) {
	return startRaw(s, func(c *rawClient) {
		c.flight = fmt.Appendf(nil, "%sBDAT %d LAST\r\n%s", envelope, len(s.message), s.message)
	}, (*rawClient).sendWindow)
}

// sendWindow sends a window's worth of messages, while the replies to those of the
// window before it come.
func (c *rawClient) sendWindow() (int, error) {
	for range rawWindow / 2 {
		if _, err := c.w.Write(c.flight); err != nil {
			return 0, err
		}
	}
	if err := c.w.Flush(); err != nil {
		return 0, err
	}
	if c.body == nil { // the first half of the window stays in flight
		c.body = []byte{}
		return rawWindow / 2, nil
	}
	return rawWindow / 2, c.replies(rawWindow / 2 * 3)
}

// startRawData lets the next MAIL, RCPT and DATA ride behind each body.
func startRawData(s setting) (func(context.Context, int) (int, error), func(), error) {
	return startRaw(s, func(c *rawClient) {
		c.body = append(append([]byte(nil), s.message...), ".\r\n"+envelope+"DATA\r\n"...)
	}, (*rawClient).sendData)
}

func (c *rawClient) sendData() (int, error) {
	if c.flight == nil {
		c.flight = []byte(envelope + "DATA\r\n")
		if _, err := c.conn.Write(c.flight); err != nil {
			return 0, err
		}
		return 0, c.replies(3)
	}
	if _, err := c.conn.Write(c.body); err != nil {
		return 0, err
	}
	return 1, c.replies(4)
}

// startRawAlone sends no MAIL before the message before it was answered: what a sender
// can reach at best that is given one message at a time, and has to use DATA.
func startRawAlone(s setting) (func(context.Context, int) (int, error), func(), error) {
	return startRaw(s, func(c *rawClient) {
		c.flight = []byte(envelope + "DATA\r\n")
		c.body = append(append([]byte(nil), s.message...), ".\r\n"...)
	}, (*rawClient).sendAlone)
}

func (c *rawClient) sendAlone() (int, error) {
	if _, err := c.conn.Write(c.flight); err != nil {
		return 0, err
	}
	if err := c.replies(3); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(c.body); err != nil {
		return 0, err
	}
	return 1, c.replies(1)
}

// startRaw has one connection for each caller.
func startRaw(s setting, prepare func(*rawClient), send func(*rawClient) (int, error)) (func(context.Context, int) (int, error), func(), error) {
	clients := make([]*rawClient, s.callers)
	stop := func() {
		for _, c := range clients {
			if c != nil {
				_ = c.conn.Close()
			}
		}
	}
	for i := range clients {
		c, err := dialRaw(s)
		if err != nil {
			stop()
			return nil, nil, err
		}
		prepare(c)
		clients[i] = c
	}
	return func(_ context.Context, caller int) (int, error) { return send(clients[caller]) }, stop, nil
}
