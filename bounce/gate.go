package bounce

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// gate is a listener that lets a number of connections in at once, and can turn
// them out: the idle ones first.
type gate struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex // guards what follows
	conns    map[*gatedConn]struct{}
	draining bool
}

func newGate(l net.Listener, n int) *gate {
	return &gate{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{}), conns: map[*gatedConn]struct{}{}}
}

// Accept waits for a slot, then for a connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.slots <- struct{}{}:
	case <-g.closed:
		return nil, net.ErrClosed
	}
	conn, err := g.Listener.Accept()
	if err != nil {
		<-g.slots
		return nil, err
	}
	c := &gatedConn{Conn: conn, gate: g}
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	return c, nil
}

// Close stops accepting.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// drain makes idle connections time out, now and when they become idle.
func (g *gate) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	for c := range g.conns {
		if !c.busy {
			_ = c.Conn.SetReadDeadline(past)
		}
	}
}

// abort closes all connections.
func (g *gate) abort() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		_ = c.Conn.Close()
	}
}

var past = time.Unix(1, 0)

// gatedConn is a connection that a gate let in.
type gatedConn struct {
	net.Conn
	gate *gate
	once sync.Once
	busy bool // in a transaction; guarded by gate.mu
}

// gated is the gatedConn within a connection of go-smtp.
func gated(c net.Conn) *gatedConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*gatedConn)
}

func (c *gatedConn) setBusy(busy bool) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.busy = busy
}

// Read makes the end of a connection within a transaction an error. Else a chunk that
// is cut short (RFC 3030, section 2) would end like a whole one.
func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF && c.isBusy() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *gatedConn) isBusy() bool {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.busy
}

// SetReadDeadline sets one that has passed, if the gate drains and no transaction
// is under way.
func (c *gatedConn) SetReadDeadline(t time.Time) error {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.gate.draining && !c.busy {
		t = past
	}
	return c.Conn.SetReadDeadline(t)
}

// Close gives the slot back.
func (c *gatedConn) Close() error {
	c.once.Do(func() {
		c.gate.mu.Lock()
		delete(c.gate.conns, c)
		c.gate.mu.Unlock()
		<-c.gate.slots
	})
	return c.Conn.Close()
}
