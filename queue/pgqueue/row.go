package pgqueue

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// clean is text as PostgreSQL can store it: replies and browsers send other bytes.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
}

// orNull is nil for what is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	s = clean(s)
	return &s
}

// Values of the type uuid.

func uuids(ids []tracking.ID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

func uuidOrNull(id tracking.ID) *[16]byte {
	if id.IsZero() {
		return nil
	}
	return (*[16]byte)(&id)
}

// Tags and meta are JSON, which has a way to write any character.

func encodeTags(tags []string) *string {
	if len(tags) == 0 {
		return nil
	}
	b, _ := json.Marshal(tags) // strings cannot fail
	s := string(b)
	return &s
}

func encodeMeta(meta map[string]string) *string {
	if len(meta) == 0 {
		return nil
	}
	b, _ := json.Marshal(meta) // sorted, so equal maps are equal text
	s := string(b)
	return &s
}

// decode reads tags or meta.
func decode(b []byte, into any) error {
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %q is not the JSON that was stored", queue.ErrCorrupt, b)
	}
	return nil
}

const jobColumns = "id, flow, template, due, was, expires, token, attempts, state, address, recipient, stream, tags, meta, key, digest, last"

// copyRow is a new job in the order of jobColumns.
func copyRow(job *queue.Job, flow, template int64, state queue.State) []any {
	due := schedule.Millis(job.Due)
	key, digest := keyOf(job)
	return []any{
		[16]byte(job.ID), flow, template, due, due, schedule.Millis(job.Expires), int64(0), int32(job.Attempts), int16(state), job.Address,
		notNil(job.Recipient), job.Stream, encodeTags(job.Tags), encodeMeta(job.Meta), key, digest, clean(job.Last),
	}
}

func keyOf(job *queue.Job) (key, digest []byte) {
	if job.Key != "" {
		key = []byte(job.Key)
	}
	if job.Digest != [16]byte{} {
		digest = job.Digest[:]
	}
	return key, digest
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// rows are new jobs as columns, for insertRows.
type rows struct {
	ids                               [][16]byte
	flows, templates, dues, expires   []int64
	attempts                          []int32
	states                            []int16
	addresses, streams, lasts         []string
	hashes, recipients, keys, digests [][]byte
	tags, meta                        []*string
	due                               notice
}

func (r *rows) add(job *queue.Job, flow, template int64, hash queue.Hash) {
	key, digest := keyOf(job)
	r.ids = append(r.ids, job.ID)
	r.flows = append(r.flows, flow)
	r.templates = append(r.templates, template)
	r.hashes = append(r.hashes, hash[:])
	r.dues = append(r.dues, schedule.Millis(job.Due))
	r.expires = append(r.expires, schedule.Millis(job.Expires))
	r.attempts = append(r.attempts, int32(job.Attempts))
	r.states = append(r.states, int16(job.State))
	r.addresses = append(r.addresses, job.Address)
	r.recipients = append(r.recipients, notNil(job.Recipient))
	r.streams = append(r.streams, job.Stream)
	r.tags = append(r.tags, encodeTags(job.Tags))
	r.meta = append(r.meta, encodeMeta(job.Meta))
	r.keys = append(r.keys, key)
	r.digests = append(r.digests, digest)
	r.lasts = append(r.lasts, clean(job.Last))
	r.due.add(job, flow)
}

func (r *rows) args() []any {
	return []any{
		r.ids, r.flows, r.templates, r.hashes, r.dues, r.expires, r.attempts, r.states, r.addresses, r.recipients, r.streams,
		r.tags, r.meta, r.keys, r.digests, r.lasts,
	}
}

// first is the only row, for insertRow.
func (r *rows) first() []any {
	return []any{
		r.ids[0], r.flows[0], r.templates[0], r.hashes[0], r.dues[0], r.expires[0], r.attempts[0], r.states[0], r.addresses[0], r.recipients[0],
		r.streams[0], r.tags[0], r.meta[0], r.keys[0], r.digests[0], r.lasts[0],
	}
}

// rowTypes are those of the columns of rows.
var rowTypes = strings.Fields("uuid bigint bigint bytea bigint bigint integer smallint text bytea text text text bytea bytea text")

// insertRow is insertRows for one: to take columns apart costs more than to insert a job.
var (
	insertRows = insertFrom("unnest("+arguments("[]")+")", "= ANY($2)")
	insertRow  = insertFrom("(VALUES ("+arguments("")+"))", "= $2")
)

func arguments(suffix string) string {
	var list []string
	for i, t := range rowTypes {
		list = append(list, fmt.Sprintf("$%d::%s%s", i+1, t, suffix))
	}
	return strings.Join(list, ", ")
}

// insertFrom inserts jobs, as held where a hold stands on their flow.
func insertFrom(source, flows string) string {
	return `INSERT INTO @job (` + jobColumns + `)
SELECT j.id, j.flow, CASE j.template WHEN 0 THEN (SELECT t.id FROM @template t WHERE t.hash = j.hash) ELSE j.template END,
	j.due, j.due, j.expires, 0, j.attempts,
	CASE WHEN j.flow IN (SELECT flow.id FROM @hold hold JOIN @flow flow
		ON hold.lane IN ('', flow.lane) AND hold.tenant IN ('', flow.tenant) AND hold.campaign IN ('', flow.campaign)
		WHERE flow.id ` + flows + `) THEN 1 ELSE j.state END,
	j.address, j.recipient, j.stream, j.tags::json, j.meta::json, j.key, j.digest, j.last
FROM ` + source + `
	AS j (id, flow, template, hash, due, expires, attempts, state, address, recipient, stream, tags, meta, key, digest, last)`
}

// stored is a row of storedColumns: a job, and its lease if it has one.
type stored struct {
	queue.Job
	token int64
	flow  int64
}

// storedColumns, and those of the flow, go with scanJobs. A leased job is due when it was before.
const storedColumns = `job.id, job.state, job.attempts, CASE WHEN job.token > 0 THEN job.was ELSE job.due END, job.expires, job.token,
	job.address, job.recipient, job.stream, job.tags, job.meta, job.key, job.digest, job.last,
	(SELECT hash FROM @template template WHERE template.id = job.template)`

const selectJobs = "SELECT " + storedColumns + ", flow.id, flow.lane, flow.priority, flow.tenant, flow.campaign FROM @job job JOIN @flow flow ON flow.id = job.flow"

func scanJobs(found pgx.Rows) (out []stored, err error) {
	var r stored
	var due, expires int64
	var tags, meta, key, digest, hash []byte
	fields := []any{
		(*[16]byte)(&r.ID), &r.State, &r.Attempts, &due, &expires, &r.token, &r.Address, &r.Recipient, &r.Stream, &tags, &meta, &key, &digest,
		&r.Last, &hash, &r.flow, &r.Flow.Lane, &r.Flow.Priority, &r.Flow.Tenant, &r.Flow.Campaign,
	}
	_, err = pgx.ForEachRow(found, fields, func() error {
		r.Due, r.Expires = schedule.Time(due), schedule.Time(expires)
		r.Key, r.Digest, r.Tags, r.Meta = string(key), [16]byte{}, nil, nil
		copy(r.Digest[:], digest)
		if len(r.Recipient) == 0 {
			r.Recipient = nil
		}
		if copy(r.Template[:], hash) != len(r.Template) {
			return fmt.Errorf("%w: the template of job %v is missing", queue.ErrCorrupt, r.ID)
		}
		if err := decode(tags, &r.Tags); err != nil {
			return err
		}
		if err := decode(meta, &r.Meta); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	return out, err
}
