package workertest

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proxy passes TCP connections on to an address, as the network between two machines
// does: until it is cut.
type Proxy struct {
	listener net.Listener
	group    sync.WaitGroup

	mu               sync.Mutex // guards all below, and what is silent
	network, address string
	cut              bool          // connections are reset
	open             chan struct{} // closed while it passes what it gets
	links            map[*link]bool
}

// link is one connection and the one that it is passed on to.
type link struct {
	near, far net.Conn
	closed    chan struct{}
	close     sync.Once
	lost      bool // silent for good
}

// NewProxy returns a proxy for an address. It ends with the test.
func NewProxy(t testing.TB, network, address string) *Proxy {
	t.Helper()
	p := &Proxy{network: network, address: address, open: make(chan struct{}), links: map[*link]bool{}}
	close(p.open)
	var err error
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.group.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.Reset()
		p.group.Wait()
	})
	return p
}

// Aim has new connections passed on to another address.
func (p *Proxy) Aim(network, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network, p.address = network, address
}

// Addr is the host and port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := &link{near: near, closed: make(chan struct{})}
		p.mu.Lock()
		if p.cut {
			l.reset()
		} else {
			p.links[l] = true
			p.group.Go(func() { p.serve(l) })
		}
		p.mu.Unlock()
	}
}

// serve passes a connection on.
func (p *Proxy) serve(l *link) {
	defer p.drop(l)
	if !p.passes(l) {
		return
	}
	p.mu.Lock()
	network, address := p.network, p.address
	p.mu.Unlock()
	far, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.join(l, far) {
		return
	}
	p.group.Go(func() {
		defer p.drop(l)
		p.pump(l, far, l.near)
	})
	p.pump(l, l.near, far)
}

// join gives a link its far side, unless it has ended meanwhile.
func (p *Proxy) join(l *link, far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.far = far
	return !closed(l.closed)
}

// pump copies until either side ends.
func (p *Proxy) pump(l *link, to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, failed := from.Read(buffer)
		if !p.passes(l) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// passes waits until the network passes what a link has to say, and is false if that
// never comes.
func (p *Proxy) passes(l *link) bool {
	for {
		p.mu.Lock()
		open, lost := p.open, l.lost
		p.mu.Unlock()
		switch {
		case lost:
			<-l.closed
			return false
		case closed(open):
			return true
		}
		select {
		case <-open:
		case <-l.closed:
			return false
		}
	}
}

func (p *Proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	l.reset()
}

// reset ends a connection without a farewell. The caller holds the proxy's mutex.
func (l *link) reset() {
	l.close.Do(func() {
		close(l.closed)
		if tcp, ok := l.near.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = l.near.Close()
		if l.far != nil {
			_ = l.far.Close()
		}
	})
}

// Reset ends all connections, and new ones as soon as they are made, until [Proxy.Heal].
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for l := range p.links {
		l.reset()
	}
}

// Silence passes nothing more, not even that a connection has ended, until
// [Proxy.Heal].
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// Lose has the connections that there are stay silent for good, as when what was
// between them has forgotten them. New ones pass.
func (p *Proxy) Lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.lost = true
	}
}

// Heal passes all on again, also what was sent meanwhile.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	if !closed(p.open) {
		close(p.open)
	}
}
