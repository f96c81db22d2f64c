package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/franqueo/franqueo/smtp/smtptest"
)

// runSink accepts everything as fast as it comes, over a link of this round trip.
// It calls listening once it does.
func runSink(extension string, rtt time.Duration, useTLS bool, listening func(addr string)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listening(listener.Addr().String())
	config := &tls.Config{Certificates: []tls.Certificate{smtptest.NewCA().Issue("localhost")}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if rtt > 0 {
			conn = delay(conn, rtt/2)
		}
		if useTLS {
			conn = tls.Server(conn, config)
		}
		go serve(conn, extension)
	}
}

func serve(conn net.Conn, extension string) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 16<<10)
	_, _ = w.WriteString("220 sink ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil || !answer(line, extension, r, w) {
			return
		}
	}
}

func answer(line []byte, extension string, r *bufio.Reader, w *bufio.Writer) bool {
	reply := "250 2.0.0 Ok\r\n"
	switch line[0] | 0x20 {
	case 'e', 'h':
		reply = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 " + extension + "\r\n"
	case 'q':
		return false
	case 'b':
		digits, _, _ := bytes.Cut(line[5:], []byte{' '})
		n, err := strconv.Atoi(strings.TrimSpace(string(digits)))
		if err != nil {
			return false
		}
		if _, err := r.Discard(n); err != nil {
			return false
		}
	case 'd':
		_, _ = w.WriteString("354 go\r\n")
		if r.Buffered() == 0 && w.Flush() != nil || !discardBody(r) {
			return false
		}
	}
	_, err := w.WriteString(reply)
	return err == nil
}

func discardBody(r *bufio.Reader) bool {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 3 && line[0] == '.' {
			return true
		}
	}
}

// delayed is a connection on which everything arrives later, in both directions.
type delayed struct {
	net.Conn
	by      time.Duration
	in, out chan packet
	got     []byte
}

type packet struct {
	data []byte
	due  time.Time
}

func delay(conn net.Conn, by time.Duration) net.Conn {
	d := &delayed{Conn: conn, by: by, in: make(chan packet, 1<<14), out: make(chan packet, 1<<14)}
	go func() {
		defer close(d.in)
		for {
			b := make([]byte, 64<<10)
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			d.in <- packet{b[:n], time.Now().Add(by)}
		}
	}()
	go func() {
		for p := range d.out {
			time.Sleep(time.Until(p.due))
			if _, err := conn.Write(p.data); err != nil {
				return
			}
		}
	}()
	return d
}

func (d *delayed) Read(p []byte) (int, error) {
	for len(d.got) == 0 {
		next, ok := <-d.in
		if !ok {
			return 0, net.ErrClosed
		}
		time.Sleep(time.Until(next.due))
		d.got = next.data
	}
	n := copy(p, d.got)
	d.got = d.got[n:]
	return n, nil
}

func (d *delayed) Write(p []byte) (int, error) {
	d.out <- packet{bytes.Clone(p), time.Now().Add(d.by)}
	return len(p), nil
}
