package natstest

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Gate cuts the connections that are dialled through it, as [nats.SetCustomDialer]
// has it. The zero value is open.
type Gate struct {
	mu     sync.Mutex // guards all below
	closed bool
	conns  []net.Conn
}

var _ nats.CustomDialer = (*Gate)(nil)

// Dial connects, unless the gate is closed.
func (g *Gate) Dial(network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errors.New("cut off")
	}
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err == nil {
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

// Close ends all connections, and lets none through.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

// Open lets connections through again.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}
