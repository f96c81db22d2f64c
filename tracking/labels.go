package tracking

import "sync"

// labels are what templates of this process say about their mailings, so that hits
// can be labelled without asking anyone: anonymous ones have no other way.
type labels struct {
	mu    sync.Mutex // guards known
	known map[mailing]Mail
}

// maxLabels bounds the mailings that are remembered.
const maxLabels = 4096

func (l *labels) remember(c *content) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil || len(l.known) >= maxLabels {
		l.known = make(map[mailing]Mail)
	}
	l.known[c.mailing] = Mail{Campaign: c.campaign, Stream: c.stream, Tenant: c.tenant, Tags: c.tags, Meta: c.meta}
}

// of returns what is known of a mailing.
func (l *labels) of(m mailing) Mail {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[m]
}
