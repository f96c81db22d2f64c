package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// put is a batch on its way.
type put struct {
	*queue.Batch
	flows    map[queue.Flow]int64
	template int64 // 0 if it is not known
	stored   int64 // its number, when it has been stored
	since    time.Time
	due      notice
	accepted []queue.Accepted
	apart    bool // it must be looked at by itself
}

// copied is the number of jobs from which on they are copied, by themselves, and not
// inserted together with others.
const copied = 100

// Put stores a template and jobs.
func (s *Store) Put(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
	if err := errors.Join(schedule.CheckBatch(b), checkText(b.Jobs)); err != nil {
		return nil, err
	}
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p := &put{Batch: b}
	if err := s.put(ctx, p); err != nil {
		return nil, s.named("put", err)
	}
	return p.accepted, nil
}

func (s *Store) put(ctx context.Context, p *put) (err error) {
	if err := s.reserve(ctx, len(p.Jobs)); err != nil {
		return err
	}
	if p.flows, err = s.flowNumbers(ctx, p.Jobs); err != nil {
		return err
	}
	p.template, _ = s.templates.number(p.Hash)
	p.apart = s.tx != nil || len(p.Jobs) >= copied || p.template == 0 && p.Template == nil || repeats(p.Jobs)
	if !p.apart {
		if err := s.puts.do(ctx, p); err != nil || !p.apart {
			return err
		}
	}
	err = again(ctx, func(try int) error {
		return s.transact(ctx, func(tx pgx.Tx) error { return s.putApart(ctx, tx, p, try > 0) })
	})
	if err != nil {
		return err
	}
	if p.template == 0 {
		s.templates.add(p.Hash, p.stored, p.since)
	}
	if s.tx == nil {
		s.notices.add(p.due)
	}
	return nil
}

// repeats reports whether two jobs have one ID or one key.
func repeats(jobs []queue.Job) bool {
	if len(jobs) < 2 {
		return false
	}
	ids, keys := make(map[tracking.ID]bool, len(jobs)), map[string]bool{}
	for i := range jobs {
		j := &jobs[i]
		if ids[j.ID] || j.Key != "" && keys[j.Key] {
			return true
		}
		ids[j.ID], keys[j.Key] = true, true
	}
	return false
}

// checkText finds what PostgreSQL cannot store as text.
func checkText(jobs []queue.Job) error {
	for i := range jobs {
		j := &jobs[i]
		for _, s := range [...]string{j.Address, j.Stream, j.Flow.Lane, j.Flow.Tenant, j.Flow.Campaign} {
			if clean(s) != s {
				return fmt.Errorf("pgqueue: job %v: %q is not UTF-8, or has a NUL", j.ID, s)
			}
		}
	}
	return nil
}

// fence has holds wait for the jobs that are being put, and these for the holds: see
// Store.stand.
const fence = "SELECT pg_advisory_xact_lock_shared($1)"

// heldFlows are those of the numbers $1 under which jobs are stored as held.
const heldFlows = `SELECT DISTINCT flow.id FROM @hold hold JOIN @flow flow
	ON hold.lane IN ('', flow.lane) AND hold.tenant IN ('', flow.tenant) AND hold.campaign IN ('', flow.campaign)
	WHERE flow.id = ANY($1)`

// putGroup inserts small batches that are new in all they bring, in one round trip.
// If one of them is not, it inserts none, and has them put apart.
func (s *Store) putGroup(ctx context.Context, group []*put) error {
	ctx, stop := s.bound(ctx)
	defer stop()
	var r rows
	templates := map[queue.Hash][]byte{}
	for _, p := range group {
		if p.template == 0 {
			templates[p.Hash] = p.Template
		}
		for i := range p.Jobs {
			r.add(&p.Jobs[i], p.flows[p.Jobs[i].Flow], p.template, p.Hash)
		}
	}
	since := time.Now()
	stored, err := s.insertGroup(ctx, &r, templates)
	if undone(err) {
		for _, p := range group {
			p.apart = true
		}
		return nil
	}
	if err != nil {
		return err
	}
	for hash, n := range stored {
		s.templates.add(hash, n, since)
	}
	for _, p := range group {
		p.accepted = allNew(p.Jobs)
	}
	s.notices.add(r.due)
	return nil
}

func allNew(jobs []queue.Job) []queue.Accepted {
	accepted := make([]queue.Accepted, len(jobs))
	for i := range jobs {
		accepted[i].ID = jobs[i].ID
	}
	return accepted
}

// storeTemplate and storeTemplates store what is new, and mark what is known as used.
const (
	storeTemplate  = insertTemplates + "VALUES ($1::bytea, $2::bytea, " + databaseTime + ")" + orUse
	storeTemplates = insertTemplates + "SELECT hash, content, " + databaseTime + " FROM unnest($1::bytea[], $2::bytea[]) AS t (hash, content)" + orUse

	insertTemplates = "INSERT INTO @template (hash, content, used) "
	orUse           = " ON CONFLICT (hash) DO UPDATE SET used = excluded.used RETURNING hash, id"
)

// databaseTime is the server's clock, which is the same for all processes.
const databaseTime = "floor(extract(epoch FROM now()) * 1000)::bigint"

// oncePlanned has the statements that follow planned once, for all that is to come:
// by their indexes, however small the tables are today. To plan a small batch takes
// longer than to insert it.
const oncePlanned = `, set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
	set_config('jit', 'off', true)`

func (s *Store) insertGroup(ctx context.Context, r *rows, templates map[queue.Hash][]byte) (map[queue.Hash]int64, error) {
	var b pgx.Batch
	b.Queue(fence+oncePlanned, s.lockKey("hold"))
	stored := make(map[queue.Hash]int64, len(templates))
	s.queueTemplates(&b, templates, stored)
	sql, args := insertRows, r.args
	if len(r.ids) == 1 {
		sql, args = insertRow, r.first
	}
	b.Queue(s.sql(sql), args()...)
	return stored, s.db.SendBatch(ctx, &b).Close()
}

func (s *Store) queueTemplates(b *pgx.Batch, templates map[queue.Hash][]byte, stored map[queue.Hash]int64) {
	hashes := make([][]byte, 0, len(templates))
	for hash := range templates {
		hashes = append(hashes, slices.Clone(hash[:]))
	}
	slices.SortFunc(hashes, slices.Compare) // so that no two wait for each other
	contents := make([][]byte, len(hashes))
	for i, hash := range hashes {
		contents[i] = templates[queue.Hash(hash)]
	}
	var queued *pgx.QueuedQuery
	switch len(hashes) {
	case 0:
		return
	case 1:
		queued = b.Queue(s.sql(storeTemplate), hashes[0], contents[0])
	default:
		queued = b.Queue(s.sql(storeTemplates), hashes, contents)
	}
	queued.Query(func(found pgx.Rows) error { return scanTemplates(found, stored) })
}

func scanTemplates(found pgx.Rows, into map[queue.Hash]int64) error {
	var hash []byte
	var n int64
	_, err := pgx.ForEachRow(found, []any{&hash, &n}, func() error {
		into[queue.Hash(hash)] = n
		return nil
	})
	return err
}

// putApart puts a batch in a transaction of its own. Most batches bring nothing that
// is known, so it looks only when it finds that this one did.
func (s *Store) putApart(ctx context.Context, tx pgx.Tx, p *put, look bool) error {
	var held map[int64]bool
	var b pgx.Batch
	b.Queue(fence, s.lockKey("hold"))
	numbers := make([]int64, 0, len(p.flows))
	for _, n := range p.flows {
		numbers = append(numbers, n)
	}
	b.Queue(s.sql(heldFlows), numbers).Query(func(found pgx.Rows) (err error) {
		held, err = collectSet(found)
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if err := s.seesHolds(ctx, tx); err != nil {
		return err
	}
	if err := s.storeTemplate(ctx, tx, p); err != nil {
		return err
	}
	accepted, fresh, err := s.sift(ctx, tx, p.Jobs, look)
	if err != nil {
		return err
	}
	p.accepted = accepted
	return s.copyJobs(ctx, tx, p, fresh, held)
}

// seesHolds fails if holds have changed that a transaction of the host does not see,
// since it keeps to what it saw first. They do not change while it has the fence.
func (s *Store) seesHolds(ctx context.Context, tx pgx.Tx) error {
	if s.tx == nil {
		return nil
	}
	var keeps bool
	var seen, now int64
	err := tx.QueryRow(ctx, s.sql("SELECT "+keepsSnapshot+", holds FROM @version")).Scan(&keeps, &seen)
	if err != nil || !keeps {
		return err
	}
	err = s.pool.QueryRow(ctx, s.sql("SELECT holds FROM @version")).Scan(&now)
	if err == nil && now > seen {
		err = &pgconn.PgError{Severity: "ERROR", Code: serializationFailure, Message: "mail was held or released since the transaction began: begin it again"}
	}
	return err
}

// keepsSnapshot is whether a transaction sees no changes of others that come after
// its first statement.
const keepsSnapshot = "current_setting('transaction_isolation') IN ('repeatable read', 'serializable')"

func collectSet(found pgx.Rows) (map[int64]bool, error) {
	set := map[int64]bool{}
	var n int64
	_, err := pgx.ForEachRow(found, []any{&n}, func() error {
		set[n] = true
		return nil
	})
	return set, err
}

// storeTemplate finds the number of the batch's template. In a transaction of the
// host it is stored beside it, since others who send it would wait for the
// transaction to end.
func (s *Store) storeTemplate(ctx context.Context, tx pgx.Tx, p *put) (err error) {
	if p.template != 0 {
		p.stored = p.template
		return nil
	}
	db := database(tx)
	if s.tx != nil {
		db = s.pool
	}
	p.since = time.Now()
	var hash []byte
	if p.Template == nil {
		err = db.QueryRow(ctx, s.sql("UPDATE @template SET used = "+databaseTime+" WHERE hash = $1 RETURNING id"), p.Hash[:]).Scan(&p.stored)
	} else {
		err = db.QueryRow(ctx, s.sql(storeTemplate), p.Hash[:], p.Template).Scan(&hash, &p.stored)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("%w: template %x", queue.ErrNotFound, p.Hash[:])
	}
	return err
}

// sift tells the jobs that are new from those that are known, by ID or by key.
func (s *Store) sift(ctx context.Context, tx pgx.Tx, jobs []queue.Job, look bool) ([]queue.Accepted, []*queue.Job, error) {
	k := known{ids: map[tracking.ID]bool{}, keys: map[string]*queue.Job{}}
	if look {
		if err := k.look(ctx, tx, s.sql(knownJobs), jobs); err != nil {
			return nil, nil, err
		}
	}
	accepted := make([]queue.Accepted, len(jobs))
	fresh := make([]*queue.Job, 0, len(jobs))
	for i := range jobs {
		first, err := k.first(&jobs[i])
		if err != nil {
			return nil, nil, err
		}
		accepted[i] = queue.Accepted{ID: first, Known: !first.IsZero()}
		if first.IsZero() {
			accepted[i].ID = jobs[i].ID
			fresh = append(fresh, &jobs[i])
			k.add(&jobs[i])
		}
	}
	return accepted, fresh, nil
}

// known are the jobs that are stored, or come earlier in the batch.
type known struct {
	ids  map[tracking.ID]bool
	keys map[string]*queue.Job
}

const knownJobs = `SELECT id, key, digest FROM @job WHERE id = ANY($1)
	UNION ALL SELECT id, key, digest FROM @job WHERE key = ANY($2) AND id <> ALL($1)`

func (k *known) look(ctx context.Context, tx pgx.Tx, sql string, jobs []queue.Job) error {
	ids, keys := make([][16]byte, len(jobs)), [][]byte{}
	for i := range jobs {
		ids[i] = jobs[i].ID
		if jobs[i].Key != "" {
			keys = append(keys, []byte(jobs[i].Key))
		}
	}
	found, err := tx.Query(ctx, sql, ids, keys)
	if err != nil {
		return err
	}
	var id [16]byte
	var key, digest []byte
	_, err = pgx.ForEachRow(found, []any{&id, &key, &digest}, func() error {
		job := &queue.Job{ID: id, Key: string(key)}
		copy(job.Digest[:], digest)
		k.add(job)
		return nil
	})
	return err
}

func (k *known) add(job *queue.Job) {
	k.ids[job.ID] = true
	if job.Key != "" {
		k.keys[job.Key] = job
	}
}

// first is the ID under which a job is known already, or zero.
func (k *known) first(job *queue.Job) (tracking.ID, error) {
	if k.ids[job.ID] {
		return job.ID, nil
	}
	same := k.keys[job.Key]
	switch {
	case job.Key == "" || same == nil:
		return tracking.ID{}, nil
	case same.Digest != job.Digest:
		return tracking.ID{}, &queue.KeyError{Key: job.Key, First: same.ID}
	}
	return same.ID, nil
}

// copyJobs stores new jobs, and tells the workers of those that are due.
func (s *Store) copyJobs(ctx context.Context, tx pgx.Tx, p *put, jobs []*queue.Job, held map[int64]bool) error {
	p.due = nil
	_, err := tx.CopyFrom(ctx, pgx.Identifier{s.opts.Schema, "job"}, strings.Split(jobColumns, ", "),
		pgx.CopyFromSlice(len(jobs), func(i int) ([]any, error) {
			job, flow := jobs[i], p.flows[jobs[i].Flow]
			state := job.State
			if held[flow] {
				state = queue.Held
			}
			p.due.add(job, flow)
			return copyRow(job, flow, p.stored, state), nil
		}))
	if err != nil {
		return err
	}
	if s.tx == nil || len(p.due) == 0 {
		return nil
	}
	var b pgx.Batch
	s.queueNotice(&b, p.due)
	return tx.SendBatch(ctx, &b).Close()
}

// flowNumbers are the numbers of the jobs' flows, which are made if need be. They are
// committed at once, so that no one waits for another's transaction.
func (s *Store) flowNumbers(ctx context.Context, jobs []queue.Job) (map[queue.Flow]int64, error) {
	numbers := map[queue.Flow]int64{}
	missing := map[queue.Flow]bool{}
	for i := range jobs {
		f := jobs[i].Flow
		if _, ok := numbers[f]; ok || missing[f] {
			continue
		}
		if n, ok := s.flows.number(f); ok {
			numbers[f] = n
		} else {
			missing[f] = true
		}
	}
	if len(missing) == 0 {
		return numbers, nil
	}
	return numbers, s.makings.do(ctx, &making{missing, numbers})
}

// making is flows that one call needs, and their numbers.
type making struct {
	flows   map[queue.Flow]bool
	numbers map[queue.Flow]int64
}

// makeFlows makes the flows that none before has made.
func (s *Store) makeFlows(ctx context.Context, group []*making) error {
	missing, numbers := map[queue.Flow]bool{}, map[queue.Flow]int64{}
	for _, m := range group {
		for f := range m.flows {
			if n, ok := s.flows.number(f); ok {
				numbers[f] = n
			} else {
				missing[f] = true
			}
		}
	}
	if len(missing) > 0 {
		if err := again(ctx, func(int) error { return s.storeFlows(ctx, missing, numbers) }); err != nil {
			return err
		}
	}
	for _, m := range group {
		for f := range m.flows {
			m.numbers[f] = numbers[f]
		}
	}
	return nil
}

const insertFlows = `INSERT INTO @flow (lane, priority, tenant, campaign, used)
	SELECT lane, priority, tenant, campaign, ` + databaseTime + `
	FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[]) AS f (lane, priority, tenant, campaign) ORDER BY 1, 2, 3, 4
	ON CONFLICT (lane, priority, tenant, campaign) DO UPDATE SET used = excluded.used
	RETURNING id, lane, priority, tenant, campaign`

func (s *Store) storeFlows(ctx context.Context, flows map[queue.Flow]bool, numbers map[queue.Flow]int64) error {
	var lanes, tenants, campaigns []string
	var priorities []int16
	for f := range flows {
		lanes, priorities = append(lanes, f.Lane), append(priorities, int16(f.Priority))
		tenants, campaigns = append(tenants, f.Tenant), append(campaigns, f.Campaign)
	}
	since := time.Now()
	found, err := s.pool.Query(ctx, s.sql(insertFlows), lanes, priorities, tenants, campaigns)
	if err != nil {
		return err
	}
	var n int64
	var f queue.Flow
	_, err = pgx.ForEachRow(found, []any{&n, &f.Lane, &f.Priority, &f.Tenant, &f.Campaign}, func() error {
		numbers[f] = n
		s.flows.add(f, n, since)
		s.seen.add(f, n, since)
		return nil
	})
	return err
}
