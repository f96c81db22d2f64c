package smtp

// CloseIdle says QUIT on the connections that carry nothing now. It does not wait for
// the answers. Those who share a limit of connections with others call it when their
// own share gets smaller, as package queue does.
func (r *Relay) CloseIdle() { r.pool.closeIdle() }

// CloseIdle says QUIT on the connections that carry nothing now, as
// [Relay.CloseIdle] does.
func (d *Direct) CloseIdle() { d.pool.closeIdle() }

// CloseIdle closes what the transports keep idle.
func (f *failover) CloseIdle() {
	for _, way := range f.ways {
		closeIdle(way.Transport)
	}
}

// CloseIdle closes what the next transport keeps idle.
func (g *guard) CloseIdle() { closeIdle(g.next) }

func closeIdle(t Transport) {
	if t, ok := t.(interface{ CloseIdle() }); ok {
		t.CloseIdle()
	}
}

func (p *pool) closeIdle() {
	for _, s := range p.alive() {
		if !s.spent.Load() && p.retire(s) {
			s.quit()
		}
	}
}
