// Package memqueue keeps a queue in memory: for tests, for development, and for
// hosts to which the loss of what is queued at a crash does not matter.
//
// It keeps everything: finished jobs, events and templates stay until the process
// ends. Use sqlitequeue where that is too much, or too little.
package memqueue

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Options tunes a [Store]. The zero value is ready for use.
type Options struct {
	// Limit is the number of unfinished jobs above which Put answers
	// [queue.ErrFull]. Zero or less means no limit.
	Limit int
}

// Store implements [queue.Store], [queue.Journal], [queue.SuppressionList],
// [queue.Meter] and [queue.Roster] in memory. It is safe for concurrent use.
type Store struct {
	limit int

	mu           sync.Mutex // guards all below
	closed       bool
	schedule     *schedule.Schedule
	jobs         map[tracking.ID]*queue.Job
	ids          []tracking.ID // of jobs, ascending
	keys         map[string]tracking.ID
	templates    map[queue.Hash][]byte
	events       []tracking.Event // by time and ID
	recorded     map[tracking.ID]time.Time
	suppressions map[entry]queue.Suppression
	sent         map[window]map[int64]int // by slot
	roster       schedule.Roster
}

// New returns an empty store. Nil options are the zero Options.
func New(opts *Options) *Store {
	s := &Store{
		schedule:     schedule.New(1),
		jobs:         map[tracking.ID]*queue.Job{},
		keys:         map[string]tracking.ID{},
		templates:    map[queue.Hash][]byte{},
		recorded:     map[tracking.ID]time.Time{},
		suppressions: map[entry]queue.Suppression{},
		sent:         map[window]map[int64]int{},
	}
	if opts != nil {
		s.limit = opts.Limit
	}
	return s
}

// lock takes the mutex, unless ctx has ended or the store is closed. After nil the
// caller unlocks.
func (s *Store) lock(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	return nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	s.closed = true
	return nil
}

// Put stores a template and jobs.
func (s *Store) Put(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
	if err := schedule.CheckBatch(b); err != nil {
		return nil, err
	}
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if _, ok := s.templates[b.Hash]; !ok && b.Template == nil {
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, b.Hash[:])
	}
	accepted, fresh, err := s.sift(b.Jobs)
	if err != nil {
		return nil, err
	}
	if s.limit > 0 && s.schedule.Len()+len(fresh) > s.limit {
		return nil, queue.ErrFull
	}
	if _, ok := s.templates[b.Hash]; !ok {
		s.templates[b.Hash] = bytes.Clone(b.Template)
	}
	for _, job := range fresh {
		s.add(job, b.Hash)
	}
	return accepted, nil
}

// sift tells the jobs that are new from those that are known, by ID or by key.
func (s *Store) sift(jobs []queue.Job) ([]queue.Accepted, []*queue.Job, error) {
	accepted := make([]queue.Accepted, len(jobs))
	var fresh []*queue.Job
	ids, keys := map[tracking.ID]bool{}, map[string]*queue.Job{}
	for i := range jobs {
		job := &jobs[i]
		accepted[i] = queue.Accepted{ID: job.ID, Known: true}
		if s.jobs[job.ID] != nil || ids[job.ID] {
			continue
		}
		first := s.jobs[s.keys[job.Key]]
		if job.Key != "" && first == nil {
			first = keys[job.Key]
		}
		switch {
		case first == nil:
			accepted[i].Known = false
			fresh = append(fresh, job)
			ids[job.ID], keys[job.Key] = true, job
		case first.Digest != job.Digest:
			return nil, nil, &queue.KeyError{Key: job.Key, First: first.ID}
		default:
			accepted[i].ID = first.ID
		}
	}
	return accepted, fresh, nil
}

func (s *Store) add(from *queue.Job, hash queue.Hash) {
	job := clone(from)
	job.Template = hash
	job.Due, job.Expires = schedule.Round(job.Due), schedule.Round(job.Expires)
	if job.State == queue.Ready {
		job.State = s.schedule.Holds().Arrival(job.Flow)
	}
	s.jobs[job.ID] = &job
	if job.Key != "" {
		s.keys[job.Key] = job.ID
	}
	at, _ := slices.BinarySearchFunc(s.ids, job.ID, compare)
	s.ids = slices.Insert(s.ids, at, job.ID)
	s.schedule.Add(job.ID, job.Flow, job.Due, job.State)
}

// Template returns the stored template.
func (s *Store) Template(ctx context.Context, hash queue.Hash) ([]byte, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	template, ok := s.templates[hash]
	if !ok {
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, hash[:])
	}
	return template, nil
}

// Flows yields the flows with a ready job.
func (s *Store) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	ready := s.schedule.Flows(nil)
	s.mu.Unlock()
	for _, r := range ready {
		if !yield(r.Flow, r.Due) {
			break
		}
	}
	return nil
}

// Claim leases due jobs.
func (s *Store) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	claimed, err := s.schedule.Claim(now, until, flows)
	if err != nil {
		return nil, err
	}
	leases := make([]queue.Lease, len(claimed))
	for i, c := range claimed {
		job := clone(s.jobs[c.ID])
		leases[i] = queue.Lease{Job: job, Attempt: job.Attempts + 1, Token: c.Token, Until: until}
	}
	return leases, nil
}

// Settle ends or extends leases.
func (s *Store) Settle(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
	if err := schedule.CheckChanges(changes); err != nil {
		return nil, err
	}
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var stale []tracking.ID
	for i := range changes {
		if !s.settle(&changes[i]) {
			stale = append(stale, changes[i].ID)
		}
	}
	return stale, nil
}

func (s *Store) settle(c *queue.Change) bool {
	if !c.Extend.IsZero() {
		if !s.schedule.Extend(c.ID, c.Token, c.Extend) {
			return false
		}
		s.record(c.Events)
		return true
	}
	if !s.schedule.Begin(c.ID, c.Token) {
		return false
	}
	job := s.jobs[c.ID]
	job.State = s.schedule.Settle(c.ID, c.State, c.Due)
	if c.State == queue.Ready {
		job.Due = schedule.Round(c.Due)
	}
	if c.Counts {
		job.Attempts++
	}
	if c.Last != "" {
		job.Last = c.Last
	}
	s.record(c.Events)
	return true
}

// Apply does what action says to the jobs that match.
func (s *Store) Apply(ctx context.Context, f queue.Filter, action queue.Action, now time.Time) (int, error) {
	if err := schedule.CheckAction(action); err != nil {
		return 0, err
	}
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	s.schedule.Stand(f, action)
	var n int
	s.find(f, tracking.ID{}, func(job *queue.Job) bool {
		if s.apply(job, action, now) {
			n++
		}
		return true
	})
	return n, nil
}

func (s *Store) apply(job *queue.Job, action queue.Action, now time.Time) bool {
	to, ok := schedule.Next(job.State, action)
	if !ok || to == job.State && s.schedule.Leased(job.ID) {
		return false
	}
	var due time.Time
	if action == queue.Retry {
		due = schedule.Round(now)
		job.Due = due
	}
	s.schedule.Apply(job.ID, job.Flow, job.State, to, due)
	job.State = to
	return true
}

// List returns the jobs that match.
func (s *Store) List(ctx context.Context, f queue.Filter, after tracking.ID, limit int) ([]queue.Job, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var jobs []queue.Job
	s.find(f, after, func(job *queue.Job) bool {
		if len(jobs) < limit {
			jobs = append(jobs, clone(job))
		}
		return len(jobs) < limit
	})
	return jobs, nil
}

// find calls yield for the jobs that match, by ID, from the first after the given
// one, until it returns false.
func (s *Store) find(f queue.Filter, after tracking.ID, yield func(*queue.Job) bool) {
	ids := s.ids
	if len(f.IDs) > 0 {
		ids = slices.Clone(f.IDs)
		slices.SortFunc(ids, compare)
		ids = slices.Compact(ids)
	}
	for _, id := range ids[search(ids, after):] {
		if job := s.jobs[id]; job != nil && matches(f, job) && !yield(job) {
			return
		}
	}
}

// search is the place of the first ID after the given one.
func search(ids []tracking.ID, after tracking.ID) int {
	at, found := slices.BinarySearchFunc(ids, after, compare)
	if found {
		at++
	}
	return at
}

// matches looks at all but the IDs.
func matches(f queue.Filter, job *queue.Job) bool {
	return (f.Lane == "" || f.Lane == job.Flow.Lane) &&
		(f.Tenant == "" || f.Tenant == job.Flow.Tenant) &&
		(f.Campaign == "" || f.Campaign == job.Flow.Campaign) &&
		(f.Address == "" || f.Address == job.Address) &&
		(len(f.States) == 0 || slices.Contains(f.States, job.State))
}

// Stats counts the jobs.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	if err := s.lock(ctx); err != nil {
		return queue.Stats{}, err
	}
	defer s.mu.Unlock()
	return s.schedule.Stats(), nil
}
