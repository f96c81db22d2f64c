package tracking

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// hit is one open or click, as it came.
type hit struct {
	typ     Type
	kind    tokenKind
	id      ID
	mailing mailing
	link    uint16
	url     string
	at      time.Time
	client  netip.Addr
	agent   *agent
	signals Machine
	private bool // asked not to be tracked
}

// mailKey names the mail of a hit or, if that is anonymous, the client in the mailing.
type mailKey struct {
	anonymous bool
	id        ID
}

// settling holds the hits of one mail until all that came at once can be judged.
type settling struct {
	key  mailKey
	due  time.Time
	hits []hit
}

const (
	// maxHits bounds the hits that wait; beyond it the oldest wait no longer, and
	// beyond the double new ones are dropped.
	maxHits = 1 << 16
	// maxTogether bounds the hits of one mail that are judged together.
	maxTogether = 256
	// maxTaken bounds the mails that are taken under one lock.
	maxTaken = 64
	// flushPause keeps flushes apart, so that a busy server has batches.
	flushPause = 50 * time.Millisecond
	// hookTimeout bounds one call of Consent or Resolve.
	hookTimeout = 5 * time.Second
)

// recorder takes hits from the handler, and hands events to the sink from a timer.
type recorder struct {
	opts  *Options
	nets  networks
	seeds [2]maphash.Seed
	seen  seen
	// labels are what templates of this process say about their mailings, so that
	// hits can be labelled without asking anyone: anonymous ones have no other way.
	labels cache[mailing, Mail]
	spare  sync.Pool // of *settling
	timer  *time.Timer
	batch  *Batch
	// busy has a place for whoever flushes.
	busy chan struct{}

	mu      sync.Mutex // guards all until the next blank line
	inbox   []hit      // as they came
	held    int        // hits in mails
	armed   bool
	closed  bool
	dropped int64

	// The rest belongs to whoever is busy.
	spent []hit // an inbox to use again
	mails map[mailKey]*settling
	order []*settling // by due
	over  bool        // from when there are too many hits until half of them are gone
	ready []Event     // on their way to the batch
	last  mailing     // of the last event, and its name
	name  string
}

func newRecorder(opts *Options) *recorder {
	return &recorder{
		opts:  opts,
		nets:  newNetworks(opts.Scanners),
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		batch: newBatch(opts.Sink, BatchOptions{Pause: -1, Overflow: Drop, Log: opts.Log}),
		spare: sync.Pool{New: func() any { return &settling{} }},
		busy:  make(chan struct{}, 1),
		mails: make(map[mailKey]*settling),
	}
}

// label remembers the labels of a template.
func (r *recorder) label(c *content) {
	r.labels.keep(c.mailing, Mail{Campaign: c.campaign, Stream: c.stream, Tenant: c.tenant, Tags: c.tags, Meta: c.meta})
}

// add takes a hit. It does not block, and leaves all work to the next flush.
func (r *recorder) add(h *hit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.inbox)+r.held >= 2*maxHits {
		r.dropped++
		return
	}
	r.inbox = append(r.inbox, *h)
	switch {
	case len(r.inbox)+r.held == maxHits:
		r.arm(0)
	case !r.armed:
		r.arm(max(r.opts.Settle, 0))
	}
}

// sort puts what came with the other hits of its mail. The caller is busy.
func (r *recorder) sort() {
	r.mu.Lock()
	fresh := r.inbox
	r.inbox = r.spent
	r.held += len(fresh)
	r.over = r.over || r.held >= maxHits
	r.mu.Unlock()
	for i := range fresh {
		r.put(&fresh[i])
	}
	clear(fresh)
	r.spent = fresh[:0]
}

func (r *recorder) put(h *hit) {
	key := r.keyOf(h)
	m := r.mails[key]
	if m == nil {
		m = r.spare.Get().(*settling)
		m.key, m.due = key, h.at.Add(max(r.opts.Settle, 0))
		r.mails[key] = m
		r.order = append(r.order, m)
	}
	m.hits = append(m.hits, *h)
	if len(m.hits) == maxTogether {
		delete(r.mails, key)
	}
}

func (r *recorder) keyOf(h *hit) mailKey {
	if h.kind != kindAnonymous {
		return mailKey{id: h.id}
	}
	key := mailKey{anonymous: true}
	copy(key.id[:], h.mailing[:])
	client := h.client.As16()
	binary.BigEndian.PutUint64(key.id[8:], maphash.Bytes(r.seeds[0], client[:])^maphash.String(r.seeds[0], h.agent.full))
	return key
}

// arm sets the timer. The caller holds mu.
func (r *recorder) arm(d time.Duration) {
	r.armed = true
	if r.timer == nil {
		r.timer = time.AfterFunc(d, func() { r.flush(context.Background()) })
		return
	}
	r.timer.Reset(d)
}

// flush hands over what is due, and sets the timer for what is not.
func (r *recorder) flush(ctx context.Context) {
	r.busy <- struct{}{}
	defer func() { <-r.busy }()
	r.sort()
	r.judge(ctx, time.Now())
	r.rearm()
}

func (r *recorder) rearm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = false
	var due time.Time
	switch {
	case r.closed:
		return
	case len(r.inbox)+r.held >= maxHits: // due at once
	case len(r.order) > 0:
		due = r.order[0].due
	case len(r.inbox) > 0:
		due = r.inbox[0].at.Add(r.opts.Settle)
	default:
		return
	}
	r.arm(max(time.Until(due), flushPause))
}

// judge makes events of what is due by now. The caller is busy.
func (r *recorder) judge(ctx context.Context, now time.Time) {
	known := make(map[mailing]Mail)
	for mails := r.take(now, nil); len(mails) > 0; mails = r.take(now, mails[:0]) {
		for _, m := range mails {
			r.addEvents(ctx, m, known)
			r.reuse(m)
			if len(r.ready) >= defaultBatch {
				r.handOn(ctx)
			}
		}
	}
	r.handOn(ctx)
}

// handOn gives the batch what is ready. It drops rather than wait, and says so.
func (r *recorder) handOn(ctx context.Context) {
	if err := r.batch.Record(ctx, r.ready); err != nil {
		r.opts.Log.Error("tracking: events lost", "events", len(r.ready), "err", err)
	}
	clear(r.ready)
	r.ready = r.ready[:0]
}

// reuse keeps the room of a settled mail for the next.
func (r *recorder) reuse(m *settling) {
	clear(m.hits)
	m.hits = m.hits[:0]
	r.spare.Put(m)
}

// take removes the oldest mails, some at a time, that are due or too many, and adds
// them to the given ones.
func (r *recorder) take(now time.Time, mails []*settling) []*settling {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && len(mails) < maxTaken && (r.over || !r.order[0].due.After(now)) {
		m := r.order[0]
		r.order[0], r.order = nil, r.order[1:]
		if r.mails[m.key] == m {
			delete(r.mails, m.key)
		}
		r.held -= len(m.hits)
		r.over = r.over && r.held > maxHits/2
		mails = append(mails, m)
	}
	return mails
}

// close hands over everything at once. What comes later is dropped.
func (r *recorder) close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	case <-ctx.Done():
		return fmt.Errorf("tracking: close: hits are still being judged: %w", context.Cause(ctx))
	}
	r.sort()
	r.judge(ctx, time.Unix(1<<40, 0))
	return r.batch.Close(ctx)
}

// addEvents judges the hits of one mail, and adds their events to those that are
// ready. Mails keeps what is known of mailings.
func (r *recorder) addEvents(ctx context.Context, m *settling, mails map[mailing]Mail) {
	policy := r.policy(ctx, m)
	mail := r.resolve(ctx, m, mails)
	for i := range m.hits {
		r.mark(&m.hits[i], mail.Delivered)
	}
	markTogether(m.hits, r.opts.Honeypot)
	before := len(r.ready)
	for i := range m.hits {
		e, keep := r.event(&m.hits[i], policy, mail)
		if keep && !slices.ContainsFunc(r.ready[before:], func(have Event) bool { return have.ID == e.ID }) {
			r.ready = append(r.ready, e)
		}
	}
}

// policy asks for the recipient's consent. Without an answer, hits are anonymous.
func (r *recorder) policy(ctx context.Context, m *settling) Policy {
	if r.opts.Consent == nil || m.key.anonymous {
		return r.opts.Policy
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	given, err := r.opts.Consent(ctx, m.key.id)
	if err == nil {
		err = given.check()
	}
	if err != nil {
		r.opts.Log.Warn("tracking: no answer about consent, counting anonymously", "message", m.key.id, "err", err)
		given = Policy{Opens: Anonymous, Clicks: Anonymous}
	}
	return r.opts.Policy.restrict(given)
}

// resolve finds out what is known of the mail.
func (r *recorder) resolve(ctx context.Context, m *settling, mails map[mailing]Mail) Mail {
	of := m.hits[0].mailing
	label, _ := r.labels.look(of)
	if r.opts.Resolve == nil {
		return label
	}
	if m.key.anonymous {
		mail, known := mails[of]
		if !known {
			mail = r.ask(ctx, ID{}, of.String())
			mails[of] = mail
		}
		return mail.or(&label)
	}
	mail := r.ask(ctx, m.key.id, of.String())
	return mail.or(&label)
}

func (r *recorder) ask(ctx context.Context, id ID, of string) Mail {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	mail, err := r.opts.Resolve(ctx, id, of)
	if err != nil && !errors.Is(err, ErrUnknownMail) {
		r.opts.Log.Warn("tracking: mail not resolved", "message", id, "mailing", of, "err", err)
	}
	return mail
}

// mark adds what speaks for a machine in a single hit.
func (r *recorder) mark(h *hit, delivered time.Time) {
	h.signals |= h.agent.signals
	if r.nets.contains(h.client) {
		h.signals |= MachineNetwork
	}
	if delivered.IsZero() && h.kind != kindAnonymous {
		delivered = h.id.Time()
	}
	if !delivered.IsZero() && h.at.Sub(delivered) < fastest {
		h.signals |= MachineTooFast
	}
}

// event makes an event of a hit, as far as the policy allows; false if not at all.
func (r *recorder) event(h *hit, policy Policy, mail Mail) (Event, bool) {
	mode := h.mode(policy)
	if mode == Off {
		return Event{}, false
	}
	e := Event{
		Type: h.typ, Time: h.at.UTC(), Mailing: r.nameOf(h.mailing),
		Campaign: mail.Campaign, Stream: mail.Stream, Tenant: mail.Tenant, Tags: mail.Tags,
		URL: h.url, Link: int(h.link), Machine: h.signals,
	}
	h.showClient(&e, mode)
	if mode > Anonymous {
		e.Message, e.Recipient, e.Meta = h.id, mail.Recipient, mail.Meta
		e.First = e.Machine == 0 && !mail.had(h.typ) && r.seen.add(h.typ, h.id)
	}
	e.ID = r.hitID(h, e.Message)
	return e, true
}

// mode is what may be kept of a hit.
func (h *hit) mode(policy Policy) Mode {
	mode := policy.Opens
	if h.typ == Clicked {
		mode = policy.Clicks
	}
	switch h.kind {
	case kindAnonymous:
		mode = mode.restrict(Anonymous)
	case kindEngage:
		mode = mode.restrict(Individual)
	}
	if h.private {
		mode = mode.restrict(Anonymous)
	}
	return mode
}

// showClient tells who asked, as far as the mode allows.
func (h *hit) showClient(e *Event, mode Mode) {
	switch mode {
	case Full:
		e.UserAgent, e.IP = h.agent.full, h.client
	case Individual:
		e.UserAgent = h.agent.family
		if !h.agent.proxied {
			e.IP = shorten(h.client)
		}
	case Anonymous:
		e.UserAgent = h.agent.family
	}
}

// nameOf is m.String, which is the same for many in a row.
func (r *recorder) nameOf(m mailing) string {
	if r.name == "" || m != r.last {
		r.last, r.name = m, m.String()
	}
	return r.name
}

// hitID returns the same ID for all hits of a client on one thing in one second. It
// means nothing outside this process.
func (r *recorder) hitID(h *hit, message ID) ID {
	client := h.client.As16()
	b := append(make([]byte, 0, 64), h.typ[0])
	b = append(append(append(b, message[:]...), h.mailing[:]...), client[:]...)
	b = binary.BigEndian.AppendUint16(b, h.link)
	b = binary.BigEndian.AppendUint64(b, uint64(h.at.Unix()))
	b = binary.BigEndian.AppendUint64(b, maphash.String(r.seeds[0], h.agent.full))
	var hash ID
	binary.BigEndian.PutUint64(hash[:8], maphash.Bytes(r.seeds[0], b))
	binary.BigEndian.PutUint64(hash[8:], maphash.Bytes(r.seeds[1], b))
	return eventID(message, hash)
}

// String is the form of [Event.Mailing].
func (m mailing) String() string { return hex.EncodeToString(m[:]) }

// seen remembers the mails that a person opened or clicked, the latest of them.
// It belongs to whoever flushes.
type seen struct {
	young, old map[seenKey]struct{}
}

type seenKey struct {
	click bool
	id    ID
}

// maxSeen bounds each half of what is remembered.
const maxSeen = 1 << 16

// add reports whether this is news.
func (s *seen) add(t Type, id ID) bool {
	k := seenKey{t == Clicked, id}
	_, young := s.young[k]
	_, old := s.old[k]
	if young || old {
		return false
	}
	if s.young == nil || len(s.young) >= maxSeen {
		s.young, s.old = make(map[seenKey]struct{}), s.young
	}
	s.young[k] = struct{}{}
	return true
}
