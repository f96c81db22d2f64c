package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/franqueo/franqueo/tracking"
)

// Mailing is one template for many recipients, and how to send it.
type Mailing struct {
	// Template is what is sent. It must be compiled by the queue's tracker.
	Template *tracking.Template
	// Priority orders what shares a lane. The zero value is [Bulk].
	Priority Priority
	// NotBefore is when the first attempt may be made. The zero time means now.
	NotBefore time.Time
	// Expires is when mail that could not be delivered is given up. The zero time
	// means Options.Lifetime after NotBefore.
	Expires time.Time
	// Tenant and Campaign label jobs and events, and share each lane fairly. Empty
	// means those of the Template.
	Tenant, Campaign string
	// Progress, if not nil, is called after each batch with the number of
	// recipients that are durable so far. It is called by SendAll's goroutine.
	Progress func(queued int)
}

// batchSize is the number of jobs that SendAll stores at once.
const batchSize = 5000

// Send queues a template for some recipients, at once and with the priority
// [Transactional]. When it returns, all of them are on disk; on an error none is,
// unless there are more than 5,000. It returns the ID of each mail, in order; for
// an idempotency key that was used before, that of the first mail.
//
// A recipient with a malformed address, or without a value for a field of the
// template, is an error that names it. A key that was used for other content is a
// [*KeyError], and a full queue is [ErrFull].
func (q *Queue) Send(ctx context.Context, t *tracking.Template, recipients ...tracking.Recipient) ([]tracking.ID, error) {
	ids := make([]tracking.ID, 0, len(recipients))
	err := q.send(ctx, &Mailing{Template: t, Priority: Transactional}, slices.Values(recipients), func(accepted []Accepted) {
		for _, a := range accepted {
			ids = append(ids, a.ID)
		}
	})
	return ids, err
}

// SendAll queues a mailing for as many recipients as the sequence yields, in
// batches of 5,000 and bounded memory. It returns how many are durable, also with
// an error. To repeat a call that failed without mailing anyone twice, give each
// recipient an ID or an idempotency key.
func (q *Queue) SendAll(ctx context.Context, m *Mailing, recipients iter.Seq[tracking.Recipient]) (queued int, err error) {
	err = q.send(ctx, m, recipients, func(accepted []Accepted) {
		queued += len(accepted)
		if m.Progress != nil {
			m.Progress(queued)
		}
	})
	return queued, err
}

func (q *Queue) send(ctx context.Context, m *Mailing, recipients iter.Seq[tracking.Recipient], done func([]Accepted)) error {
	s, err := q.newSender(m)
	if err != nil {
		return err
	}
	for r := range recipients {
		if err := s.add(&r); err != nil {
			return err
		}
		if len(s.batch.Jobs) == batchSize {
			if err := s.flush(ctx, done); err != nil {
				return err
			}
		}
	}
	return s.flush(ctx, done)
}

// sender turns the recipients of a mailing into batches.
type sender struct {
	*Queue
	Mailing
	now   time.Time
	batch Batch
	data  []byte // of the recipients of the batch
	count int    // of all batches
	lanes map[string]string
	tags  []string // of the template, as meta
	meta  map[string]string
}

func (q *Queue) newSender(m *Mailing) (*sender, error) {
	if m.Template == nil {
		return nil, errors.New("queue: a mailing needs a Template: see tracking.Tracker.Compile")
	}
	s := &sender{Queue: q, Mailing: *m, now: time.Now(), lanes: map[string]string{}}
	if s.NotBefore.Before(s.now) {
		s.NotBefore = s.now
	}
	if s.Expires.IsZero() {
		s.Expires = s.NotBefore.Add(q.opts.Lifetime)
	}
	if !s.Expires.After(s.NotBefore) {
		return nil, fmt.Errorf("queue: mailing expires at %v, which is not after %v, when it may be sent first", s.Expires, s.NotBefore)
	}
	if s.Tenant == "" {
		s.Tenant = m.Template.Tenant()
	}
	if s.Campaign == "" {
		s.Campaign = m.Template.Campaign()
	}
	s.tags, s.meta = m.Template.Tags(), m.Template.Meta()
	stored, err := m.Template.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("queue: template: %w", err)
	}
	s.batch.Template, s.batch.Hash = stored, sha256.Sum256(stored)
	if q.templates.load(s.batch.Hash) == nil {
		// As read back: so it is the queue's tracker that renders, now as after a restart.
		if _, err := q.unmarshal(s.batch.Hash, stored); err != nil {
			return nil, fmt.Errorf("queue: template: %w", err)
		}
	}
	return s, nil
}

// add checks a recipient and puts its job into the batch.
func (s *sender) add(r *tracking.Recipient) error {
	s.count++
	if err := s.Template.Check(r); err != nil {
		return fmt.Errorf("queue: recipient %d: %w", s.count, err)
	}
	lane, err := s.lane(r.To.Address)
	if err != nil {
		return fmt.Errorf("queue: recipient %d: %w", s.count, err)
	}
	var digest [16]byte
	if r.Key != "" {
		digest = s.digest(r)
	}
	if r.ID.IsZero() {
		r.ID = tracking.NewID()
	}
	if r.Date.IsZero() {
		r.Date = s.NotBefore
	}
	start := len(s.data)
	s.data = appendRecipient(s.data, r)
	s.batch.Jobs = append(s.batch.Jobs, Job{
		ID:        r.ID,
		Flow:      Flow{Lane: lane, Priority: s.Priority, Tenant: s.Tenant, Campaign: s.Campaign},
		Template:  s.batch.Hash,
		Address:   r.To.Address,
		Recipient: s.data[start:len(s.data):len(s.data)],
		Stream:    s.Template.Stream(),
		Tags:      s.tags,
		Meta:      s.join(r.Meta),
		Key:       r.Key,
		Digest:    digest,
		Due:       s.NotBefore,
		Expires:   s.Expires,
	})
	return nil
}

// join adds a recipient's metadata to the template's.
func (s *sender) join(own map[string]string) map[string]string {
	if len(own) == 0 {
		return s.meta
	}
	meta := maps.Clone(own)
	for k, v := range s.meta {
		if _, ok := own[k]; !ok {
			meta[k] = v
		}
	}
	return meta
}

// digest tells contents apart: what the recipient would get, whoever made the ID
// and whenever it is sent.
func (s *sender) digest(r *tracking.Recipient) (d [16]byte) {
	same := *r
	same.Date = time.Time{}
	h := sha256.New()
	h.Write(s.batch.Hash[:])
	h.Write([]byte(r.To.Address))
	h.Write(appendRecipient(nil, &same))
	copy(d[:], h.Sum(nil))
	return d
}

// lane is the recipient's domain as a flow names it.
func (s *sender) lane(address string) (string, error) {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if lane, ok := s.lanes[domain]; ok {
		return lane, nil
	}
	lane, err := laneOf(domain)
	if err != nil {
		return "", fmt.Errorf("queue: address %q: domain: %w", address, err)
	}
	if len(s.lanes) == maxLanes {
		clear(s.lanes)
	}
	s.lanes[domain] = lane
	return lane, nil
}

// laneOf is a domain in lower case, as A-labels.
func laneOf(domain string) (string, error) {
	lane, err := idna.Lookup.ToASCII(domain)
	return strings.ToLower(lane), err
}

// maxLanes bounds what a sender remembers of the domains it has seen.
const maxLanes = 10_000

// flush stores the batch and starts another.
func (s *sender) flush(ctx context.Context, done func([]Accepted)) error {
	if len(s.batch.Jobs) == 0 {
		return nil
	}
	accepted, err := s.store.Put(ctx, &s.batch)
	if err != nil {
		return fmt.Errorf("queue: store %d recipients: %w", len(s.batch.Jobs), err)
	}
	seen := map[Flow]bool{}
	for _, j := range s.batch.Jobs {
		if !seen[j.Flow] {
			seen[j.Flow] = true
			s.sched.due(j.Flow, j.Due)
		}
	}
	s.notify()
	s.batch.Jobs, s.data = s.batch.Jobs[:0], s.data[:0]
	done(accepted)
	return nil
}
