package sqlitequeue

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Put stores a template and jobs.
func (s *Store) Put(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
	if err := schedule.CheckBatch(b); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	var accepted []queue.Accepted
	err := s.write(ctx, func(w *writer) (err error) {
		accepted, err = s.put(w, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return accepted, nil
}

// put looks for all reasons to refuse before it writes.
func (s *Store) put(w *writer, b *queue.Batch) ([]queue.Accepted, error) {
	template, known := w.templates[b.Hash]
	if !known && b.Template == nil {
		var err error
		if template, err = w.findTemplate(b.Hash); err != nil {
			return nil, err
		}
		known = true
	}
	accepted, fresh, err := w.sift(b.Jobs)
	if err != nil {
		return nil, err
	}
	if err := s.reserve(w, len(fresh)); err != nil {
		return nil, err
	}
	if !known {
		if template, err = w.addTemplate(b.Hash, b.Template); err != nil {
			return nil, err
		}
	}
	w.remember(b.Hash, template)
	w.onCommit(func() { s.templates.add(b.Hash, template) })
	if w.used != nil {
		w.used.templates[template] = true
	}
	return accepted, s.add(w, fresh, b.Hash, template)
}

// reserve refuses n jobs more than the limit allows, and keeps their places until
// the transaction ends.
func (s *Store) reserve(w *writer, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.schedule.Len()+w.coming+n > s.opts.Limit {
		return fmt.Errorf("%w: %d jobs wait, and the limit is %d", queue.ErrFull, s.schedule.Len()+w.coming, s.opts.Limit)
	}
	w.coming += n
	return nil
}

// sift tells the jobs that are new from those that are known, by ID or by key.
func (w *writer) sift(jobs []queue.Job) ([]queue.Accepted, []*queue.Job, error) {
	accepted := make([]queue.Accepted, len(jobs))
	fresh := make([]*queue.Job, 0, len(jobs))
	batch := siftedBatch{newest: w.newest}
	for i := range jobs {
		job := &jobs[i]
		first, err := w.first(&batch, job)
		if err != nil {
			return nil, nil, err
		}
		accepted[i] = queue.Accepted{ID: first, Known: !first.IsZero()}
		if first.IsZero() {
			accepted[i].ID = job.ID
			fresh = append(fresh, job)
			batch.add(job)
		}
	}
	return accepted, fresh, nil
}

// siftedBatch is what is known of the new jobs of a batch.
type siftedBatch struct {
	newest tracking.ID // no less than any ID in the file or the batch
	ids    map[tracking.ID]bool
	keys   map[string]*queue.Job
}

func (b *siftedBatch) add(job *queue.Job) {
	if b.ids == nil {
		b.ids, b.keys = map[tracking.ID]bool{}, map[string]*queue.Job{}
	}
	if bytes.Compare(job.ID[:], b.newest[:]) > 0 {
		b.newest = job.ID
	}
	b.ids[job.ID] = true
	if job.Key != "" {
		b.keys[job.Key] = job
	}
}

// first is the ID under which a job is known already, or zero.
func (w *writer) first(b *siftedBatch, job *queue.Job) (tracking.ID, error) {
	// IDs ascend, so nearly all are newer than all others: no need to look.
	if bytes.Compare(job.ID[:], b.newest[:]) <= 0 {
		if b.ids[job.ID] {
			return job.ID, nil
		}
		n, err := w.number("SELECT 1 FROM job WHERE id = ?", job.ID[:])
		if err != nil {
			return tracking.ID{}, err
		}
		if n == 1 {
			return job.ID, nil
		}
	}
	if job.Key == "" {
		return tracking.ID{}, nil
	}
	return w.firstWithKey(b, job)
}

func (w *writer) firstWithKey(b *siftedBatch, job *queue.Job) (tracking.ID, error) {
	var first queue.Job
	if same := b.keys[job.Key]; same != nil {
		first = *same
	} else {
		err := w.query(context.Background(), func(v []driver.Value) error {
			copy(first.Digest[:], blob(v[1]))
			return scanID(&first.ID, v[0])
		}, "SELECT id, digest FROM job WHERE key = ?", job.Key)
		if err != nil {
			return tracking.ID{}, err
		}
	}
	if !first.ID.IsZero() && first.Digest != job.Digest {
		return tracking.ID{}, &queue.KeyError{Key: job.Key, First: first.ID}
	}
	return first.ID, nil
}

// rows are jobs to be inserted, many with one statement. The first argument is the
// template, which is that of all of them.
type rows struct {
	*writer
	one, many string // statements
	width     int    // arguments of a row
	args      []driver.Value
}

// rowsAtOnce is how many rows a statement inserts when there are so many.
const rowsAtOnce = 64

const (
	plainColumns = "template, id, flow, state, due, expires, address, recipient, sum"
	fullColumns  = plainColumns + ", attempts, stream, tags, meta, key, digest, last"
)

var (
	insertPlain, insertPlains = insertJobs(plainColumns, 1), insertJobs(plainColumns, rowsAtOnce)
	insertFull, insertFulls   = insertJobs(fullColumns, 1), insertJobs(fullColumns, rowsAtOnce)
)

func insertJobs(columns string, rows int) string {
	row := "(?1" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
	return "INSERT INTO job (" + columns + ") VALUES " + row + strings.Repeat(", "+row, rows-1)
}

func (r *rows) add(row ...driver.Value) error {
	r.width = len(row)
	r.args = append(r.args, row...)
	if len(r.args) < 1+rowsAtOnce*r.width {
		return nil
	}
	_, err := r.exec(r.many, r.args...)
	r.args = r.args[:1]
	return err
}

func (r *rows) flush() error {
	for row := range slices.Chunk(r.args[1:], max(r.width, 1)) {
		if _, err := r.exec(r.one, append(r.args[:1:1], row...)...); err != nil {
			return err
		}
	}
	return nil
}

// add inserts new jobs. Most are plain: what they have no value for is not bound,
// since binding takes half the time of an insert.
func (s *Store) add(w *writer, jobs []*queue.Job, hash queue.Hash, template int64) error {
	states := s.arrivals(jobs)
	plain := &rows{writer: w, one: insertPlain, many: insertPlains, args: []driver.Value{template}}
	full := &rows{writer: w, one: insertFull, many: insertFulls, args: []driver.Value{template}}
	for i, job := range jobs {
		flow, err := w.flow(job.Flow)
		if err != nil {
			return err
		}
		if w.used != nil {
			w.used.flows[flow] = true
		}
		tags, meta := encodeTags(job.Tags), encodeMeta(job.Meta)
		row := [...]driver.Value{
			job.ID[:], flow, int64(states[i]), schedule.Millis(job.Due), schedule.Millis(job.Expires), job.Address, filled(job.Recipient),
			int64(checksum(job, &hash, text(tags), text(meta))),
		}
		if isPlain(job) {
			err = plain.add(row[:]...)
		} else {
			err = full.add(append(row[:], int64(job.Attempts), orNull(job.Stream), tags, meta,
				orNull(job.Key), filled(job.Digest[:]), orNull(job.Last))...)
		}
		if err != nil {
			return err
		}
	}
	if err := firstError(plain.flush(), full.flush()); err != nil {
		return err
	}
	for _, job := range jobs {
		if bytes.Compare(job.ID[:], w.newest[:]) > 0 {
			w.newest = job.ID
		}
	}
	w.onCommit(func() {
		for i, job := range jobs {
			s.schedule.Add(job.ID, job.Flow, job.Due, states[i])
		}
	})
	return nil
}

// arrivals are the states in which jobs are stored.
func (s *Store) arrivals(jobs []*queue.Job) []queue.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]queue.State, len(jobs))
	for i, job := range jobs {
		if out[i] = job.State; job.State == queue.Ready {
			out[i] = s.schedule.Holds().Arrival(job.Flow)
		}
	}
	return out
}

func isPlain(job *queue.Job) bool {
	return job.Attempts == 0 && job.Stream == "" && len(job.Tags) == 0 && len(job.Meta) == 0 &&
		job.Key == "" && job.Digest == [16]byte{} && job.Last == ""
}

// flow is the number of a flow, which is made if need be.
func (w *writer) flow(f queue.Flow) (int64, error) {
	if n, ok := w.flows[f]; ok {
		return n, nil
	}
	key := []driver.Value{f.Lane, int64(f.Priority), f.Tenant, f.Campaign}
	n, err := w.number("SELECT id FROM flow WHERE lane = ? AND priority = ? AND tenant = ? AND campaign = ?", key...)
	if err == nil && n == 0 {
		n, err = w.insert("INSERT INTO flow (lane, priority, tenant, campaign) VALUES (?, ?, ?, ?)", key...)
	}
	if err != nil {
		return 0, err
	}
	if len(w.flows) >= cacheSize {
		clear(w.flows)
	}
	w.flows[f] = n
	return n, nil
}
