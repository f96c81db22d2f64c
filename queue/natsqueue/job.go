package natsqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// with adds what was put to what the state knows.
func (k *known) with(body *putJob) (queue.Job, error) {
	job, err := body.job(k.flow, k.template)
	if err != nil {
		return job, fmt.Errorf("job %v: %w", k.id, err)
	}
	job.Due, job.State, job.Attempts, job.Last = schedule.Time(k.due), k.state, int(k.attempts), k.last
	return job, nil
}

// Put stores a template and jobs. A batch that does not fit into a message goes in
// several, and takes effect with the last.
func (s *Store) Put(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
	if err := schedule.CheckBatch(b); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	var known bool
	s.look(func(st *state) { _, known = st.templates.numbers[b.Hash] })
	accepted, err := s.put(ctx, b, b.Template != nil && !known)
	if known && b.Template != nil && errors.Is(err, queue.ErrNotFound) { // swept meanwhile
		accepted, err = s.put(ctx, b, true)
	}
	return accepted, err
}

func (s *Store) put(ctx context.Context, b *queue.Batch, withText bool) ([]queue.Accepted, error) {
	result, err := s.give(ctx, "put", puts, nil, s.cut(b, withText)...)
	accepted, _ := result.([]queue.Accepted)
	return accepted, err
}

// pieceJobs is about how many bytes of jobs go into a piece.
const pieceJobs = 64 << 10

// cut makes pieces of a batch.
func (s *Store) cut(b *queue.Batch, withText bool) []command {
	var out []command
	call := s.batches.Add(1)
	next := func() *piece {
		p := &piece{call: call, part: len(out), limit: int64(s.opts.Limit), hash: b.Hash}
		out = append(out, p)
		return p
	}
	p, room := next(), min(pieceJobs, s.gather-pieceSize)
	if withText {
		chunks := slices.Collect(slices.Chunk(b.Template, s.gather-pieceSize))
		for i, chunk := range chunks {
			if i > 0 {
				p = next()
			}
			p.hasText, p.chunk = true, chunk
			room = min(pieceJobs, s.gather-pieceSize-len(chunk))
		}
		p.hasText = true // an empty one is one, too
	}
	flows := map[queue.Flow]int{}
	for i := range b.Jobs {
		job := &b.Jobs[i]
		number, ok := flows[job.Flow]
		if !ok {
			number = len(p.flows)
		}
		encoded := encodeJob(job, number)
		size := encoded.size()
		if !ok {
			size += flowSize(job.Flow)
		}
		if size > room && len(p.jobs)+len(p.chunk) > 0 {
			p, room = next(), min(pieceJobs, s.gather-pieceSize)
			clear(flows)
			number, encoded.flow = 0, 0
			size, ok = encoded.size()+flowSize(job.Flow), false
		}
		if !ok {
			flows[job.Flow] = number
			p.flows = append(p.flows, job.Flow)
		}
		p.jobs = append(p.jobs, encoded)
		room -= size
	}
	p.last = true
	return out
}

// size is the most that the job takes.
func (j *putJob) size() int {
	return putJobSize + 60 + len(j.key) + len(j.address) + len(j.last) + len(j.body)
}

func flowSize(f queue.Flow) int { return 20 + len(f.Lane) + len(f.Tenant) + len(f.Campaign) }

// Template returns the stored template.
func (s *Store) Template(ctx context.Context, hash queue.Hash) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	var places []uint64
	var known bool
	s.look(func(st *state) {
		if number, ok := st.templates.numbers[hash]; ok {
			places, known = slices.Clone(st.texts[number].places), true
		}
	})
	if !known {
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, hash[:])
	}
	found, faults := s.fetchPieces(ctx, places)
	for _, err := range faults {
		return nil, s.named("template", err)
	}
	content := []byte{}
	for _, place := range places {
		pieces, index := found[sequenceOf(place)], ordinalOf(place)
		if index >= len(pieces) || pieces[index].hash != hash {
			return nil, fmt.Errorf("natsqueue: template: %w: %x is not where it was put", queue.ErrCorrupt, hash[:])
		}
		content = append(content, pieces[index].chunk...)
	}
	return content, nil
}

// Flows yields the flows with a ready job.
func (s *Store) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	var ready []schedule.Ready
	if err := s.read(ctx, func(st *state) { ready = st.schedule.Flows(nil) }); err != nil {
		return err
	}
	for _, r := range ready {
		if !yield(r.Flow, r.Due) {
			break
		}
	}
	return nil
}

// Stats counts the jobs.
func (s *Store) Stats(ctx context.Context) (stats queue.Stats, err error) {
	err = s.read(ctx, func(st *state) { stats = st.schedule.Stats() })
	return stats, err
}

// undoTime bounds the giving back of what nobody waits for.
const undoTime = 30 * time.Second

// Claim leases due jobs. Where this process knows of none that is due, it asks no
// server.
func (s *Store) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	if schedule.Millis(until) <= schedule.Millis(now) {
		return nil, errors.New("queue: claim until " + until.String() + " is not after now")
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	var due []queue.FlowClaim
	s.look(func(st *state) {
		for _, f := range flows {
			if first, ok := st.schedule.First(f.Flow); ok && schedule.Millis(first) <= schedule.Millis(now) {
				due = append(due, f)
			}
		}
	})
	if len(due) == 0 {
		return nil, nil
	}
	claimed, err := do[[]leased](ctx, s, "claim", &claim{schedule.Millis(now), schedule.Millis(until), due}, s.unclaim)
	if err != nil {
		return nil, err
	}
	return s.complete(ctx, claimed, until)
}

// unclaim gives back what a claim has leased for nobody.
func (s *Store) unclaim(result any) {
	claimed, _ := result.([]leased)
	if len(claimed) == 0 {
		return
	}
	written := make([]change, len(claimed))
	for i, l := range claimed {
		written[i].Change = queue.Change{ID: l.id, Token: l.token, Due: schedule.Time(l.due)}
	}
	s.kept.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, undoTime)
		defer cancel()
		if _, err := s.settle(ctx, written); err != nil {
			s.opts.Log.Error("natsqueue: claimed jobs could not be given back, and are due when the lease ends", "jobs", len(claimed), "err", err)
		}
	})
}

// complete adds the bodies to claimed jobs. It leaves those that cannot be read to
// their leases, and fails only if that is all.
func (s *Store) complete(ctx context.Context, claimed []leased, until time.Time) ([]queue.Lease, error) {
	places := make([]uint64, len(claimed))
	for i := range claimed {
		places[i] = claimed[i].place
	}
	found, faults := s.fetchPieces(ctx, places)
	leases := make([]queue.Lease, 0, len(claimed))
	var lost []leased
	var fault error
	for i := range claimed {
		l := &claimed[i]
		job, err := found.job(&l.known)
		if failed := faults[sequenceOf(l.place)]; failed != nil {
			err = failed
		}
		switch {
		case err == nil:
			leases = append(leases, queue.Lease{Job: job, Attempt: job.Attempts + 1, Token: l.token, Until: schedule.Round(until)})
		case errors.Is(err, queue.ErrCorrupt):
			s.opts.Log.Error("natsqueue: a job cannot be read", "job", l.id, "err", err)
			fault = err
		default:
			lost, fault = append(lost, *l), err
		}
	}
	s.unclaim(lost)
	if len(leases) == 0 && fault != nil {
		return nil, s.named("claim", fault)
	}
	return leases, nil
}

// Settle ends or extends leases.
func (s *Store) Settle(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
	if err := schedule.CheckChanges(changes); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	written, err := s.write(ctx, changes)
	if err != nil {
		return nil, s.named("settle", err)
	}
	return s.settle(ctx, written)
}

// write writes the events of changes down.
func (s *Store) write(ctx context.Context, changes []queue.Change) ([]change, error) {
	var events []tracking.Event
	for i := range changes {
		events = append(events, changes[i].Events...)
	}
	events, err := s.label(ctx, events)
	if err != nil {
		return nil, err
	}
	out := make([]change, len(changes))
	for i := range changes {
		n := len(changes[i].Events)
		notes, err := notesOf(events[:n])
		if err != nil {
			return nil, err
		}
		out[i] = change{changes[i], notes}
		events = events[n:]
	}
	return out, nil
}

func (s *Store) settle(ctx context.Context, changes []change) (stale []tracking.ID, err error) {
	for start := 0; start < len(changes); {
		end, size := start, 0
		for end < len(changes) && (end == start || size < commandSize) {
			size += changes[end].size()
			end++
		}
		done, err := do[settled](ctx, s, "settle", &settle{changes[start:end]}, nil)
		if err != nil {
			return nil, err
		}
		s.recorder.put(done.place, done.notes)
		stale = append(stale, done.stale...)
		start = end
	}
	s.recorder.wait(ctx, maxUnrecorded)
	return stale, nil
}

// Apply does what action says to the jobs that match. A filter that names an address
// has the jobs read whose addresses have the same hash.
func (s *Store) Apply(ctx context.Context, f queue.Filter, action queue.Action, now time.Time) (n int, err error) {
	if err := schedule.CheckAction(action); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	ids := slices.Clone(f.IDs)
	if f.Address != "" {
		ids = nil
		err := s.find(ctx, f, tracking.ID{}, findPage, func(job *queue.Job) bool {
			ids = append(ids, job.ID)
			return true
		})
		if err != nil || len(ids) == 0 {
			return 0, s.named("apply", err)
		}
	}
	if len(ids) == 0 {
		return do[int](ctx, s, "apply", &applyTo{f, action, schedule.Millis(now)}, nil)
	}
	slices.SortFunc(ids, compare)
	for part := range slices.Chunk(slices.Compact(ids), commandSize/len(tracking.ID{})) {
		f.IDs, f.Address = part, ""
		changed, err := do[int](ctx, s, "apply", &applyTo{f, action, schedule.Millis(now)}, nil)
		n += changed
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// List returns the jobs that match.
func (s *Store) List(ctx context.Context, f queue.Filter, after tracking.ID, limit int) (jobs []queue.Job, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if limit <= 0 {
		return nil, nil
	}
	err = s.find(ctx, f, after, min(limit, findPage), func(job *queue.Job) bool {
		jobs = append(jobs, *job)
		return len(jobs) < limit
	})
	return jobs, s.named("list", err)
}

// findPage is how many jobs are read at once, at most.
const findPage = 1000

// find calls yield for the jobs that match, by ID, from the first after the given
// one, until it returns false. It reads a page at a time.
func (s *Store) find(ctx context.Context, f queue.Filter, after tracking.ID, size int, yield func(*queue.Job) bool) error {
	if len(f.IDs) > 0 {
		f.IDs = slices.Clone(f.IDs)
		slices.SortFunc(f.IDs, compare)
		f.IDs = slices.Compact(f.IDs)
	}
	for {
		var page []known
		s.look(func(st *state) { page = st.page(&f, after, size) })
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].id
		places := make([]uint64, len(page))
		for i := range page {
			places[i] = page[i].place
		}
		found, faults := s.fetchPieces(ctx, places)
		for i := range page {
			job, err := found.job(&page[i])
			if failed := faults[sequenceOf(page[i].place)]; failed != nil {
				err = failed
			}
			switch {
			case errors.Is(err, errMissing) && s.forgotten(page[i].id):
			case err != nil:
				return err
			case f.Address != "" && f.Address != job.Address: // the hash was the same
			case !yield(&job):
				return nil
			}
		}
	}
}

// page returns the next jobs that match, as far as the state can tell.
func (s *state) page(f *queue.Filter, after tracking.ID, size int) (out []known) {
	look := func(job *record) bool {
		if s.matches(f, job) && (f.Address == "" || hashAddress(f.Address) == job.address) {
			out = append(out, s.known(job))
		}
		return len(out) < size
	}
	if len(f.IDs) == 0 {
		s.jobs.after(after, look)
		return out
	}
	for _, id := range f.IDs {
		if bytes.Compare(id[:], after[:]) > 0 {
			if job := s.jobs.find(id); job != nil && !look(job) {
				break
			}
		}
	}
	return out
}

func (s *Store) forgotten(id tracking.ID) (gone bool) {
	s.look(func(st *state) { gone = st.jobs.find(id) == nil })
	return gone
}
