package smtp

import (
	"sync"
	"time"
)

// The limits of what is remembered of mail hosts.
const (
	downFor      = time.Minute
	brokenTLSFor = time.Hour
	maxHostNotes = 10_000
)

// hostMemory remembers something of hosts for a while. The zero value is ready
// for use.
type hostMemory struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

func (m *hostMemory) remember(host string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.until) >= maxHostNotes || m.until == nil {
		m.until = make(map[string]time.Time)
	}
	m.until[host] = time.Now().Add(d)
}

func (m *hostMemory) forget(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, host)
}

func (m *hostMemory) has(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[host]
	return ok && time.Now().Before(until)
}

// downLast puts the hosts that did not answer lately behind the others, so that
// not every message waits for the same host in vain before it goes to the next
// one. Their order is kept otherwise.
func (d *Direct) downLast(hosts []PlanHost) []*PlanHost {
	var up, down []*PlanHost
	for i := range hosts {
		if d.down.has(hosts[i].Name) {
			down = append(down, &hosts[i])
		} else {
			up = append(up, &hosts[i])
		}
	}
	return append(up, down...)
}
