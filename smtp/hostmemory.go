package smtp

import (
	"sync"
	"time"
)

// The limits of what is remembered of hosts that did not answer.
const (
	downFor      = time.Minute
	maxDownHosts = 10_000
)

// downHosts remembers mail hosts that did not answer, or not under the TLS that
// they are held to, so that not every message waits for the same host in vain
// before it goes to the next one. The zero value is ready for use.
type downHosts struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

// note tells how the last attempt at a host ended.
func (d *downHosts) note(host string, answered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if answered {
		delete(d.until, host)
		return
	}
	if len(d.until) >= maxDownHosts || d.until == nil {
		d.until = make(map[string]time.Time)
	}
	d.until[host] = time.Now().Add(downFor)
}

func (d *downHosts) has(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.until[host]
	return ok && time.Now().Before(until)
}

// last puts the hosts that are down behind the others. Their order is kept
// otherwise.
func (d *downHosts) last(hosts []PlanHost) []*PlanHost {
	var up, down []*PlanHost
	for i := range hosts {
		if d.has(hosts[i].Name) {
			down = append(down, &hosts[i])
		} else {
			up = append(up, &hosts[i])
		}
	}
	return append(up, down...)
}
