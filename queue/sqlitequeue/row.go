package sqlitequeue

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Values as the driver gives them: NULL is the zero value of each.

func text(v driver.Value) string   { s, _ := v.(string); return s }
func integer(v driver.Value) int64 { n, _ := v.(int64); return n }
func blob(v driver.Value) []byte   { b, _ := v.([]byte); return b }

func scanID(id *tracking.ID, v driver.Value) error {
	b := blob(v)
	if len(b) != 0 && len(b) != len(id) {
		return fmt.Errorf("%w: ID %x is not 16 bytes", queue.ErrCorrupt, b)
	}
	copy(id[:], b)
	return nil
}

// Values as we store them: NULL for what is empty, which takes a byte of the row.

func orNull(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func filled(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

func idOrNull(id *tracking.ID) driver.Value {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

func encodeTags(tags []string) driver.Value {
	if len(tags) == 0 {
		return nil
	}
	b, _ := json.Marshal(tags) // strings cannot fail
	return string(b)
}

func encodeMeta(meta map[string]string) driver.Value {
	if len(meta) == 0 {
		return nil
	}
	b, _ := json.Marshal(meta) // sorted, so equal maps are equal text
	return string(b)
}

// decode reads tags or meta.
func decode[T any](v driver.Value) (out T, err error) {
	s := text(v)
	if s == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		return out, fmt.Errorf("%w: %q is not the JSON that was stored", queue.ErrCorrupt, s)
	}
	return out, nil
}

const flowColumns = "lane, priority, tenant, campaign"

func scanFlow(v []driver.Value) queue.Flow {
	return queue.Flow{Lane: text(v[0]), Priority: queue.Priority(integer(v[1])), Tenant: text(v[2]), Campaign: text(v[3])}
}

// selectJob goes with scanJob.
const selectJob = `SELECT job.id, job.flow, job.template, job.state, job.attempts, job.due, job.expires, job.address, job.recipient,
	job.stream, job.tags, job.meta, job.key, job.digest, job.sum, job.last,
	template.hash, flow.lane, flow.priority, flow.tenant, flow.campaign
FROM job LEFT JOIN template ON template.id = job.template LEFT JOIN flow ON flow.id = job.flow `

// scanJob reads a row of selectJob, and compares its checksum.
func scanJob(v []driver.Value) (job queue.Job, err error) {
	if err := scanID(&job.ID, v[0]); err != nil {
		return job, err
	}
	job.State = queue.State(integer(v[3]))
	job.Attempts = int(integer(v[4]))
	job.Due = schedule.Time(integer(v[5]))
	job.Expires = schedule.Time(integer(v[6]))
	job.Address, job.Recipient, job.Stream = text(v[7]), blob(v[8]), text(v[9])
	job.Key, job.Last = text(v[12]), text(v[15])
	copy(job.Digest[:], blob(v[13]))
	if copy(job.Template[:], blob(v[16])) != len(job.Template) || v[17] == nil {
		return job, fmt.Errorf("%w: the template or the flow of job %v is missing", queue.ErrCorrupt, job.ID)
	}
	job.Flow = scanFlow(v[17:21])
	if int64(checksum(&job, &job.Template, text(v[10]), text(v[11]))) != integer(v[14]) {
		return job, fmt.Errorf("%w: job %v has changed on disk", queue.ErrCorrupt, job.ID)
	}
	if job.Tags, err = decode[[]string](v[10]); err != nil {
		return job, err
	}
	job.Meta, err = decode[map[string]string](v[11])
	return job, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers what never changes of a job, wherever in the file it lies, so that
// a flipped bit sends no mail to another address. Tags and meta are as stored.
func checksum(job *queue.Job, template *queue.Hash, tags, meta string) uint32 {
	sum := crc32.Update(0, castagnoli, job.ID[:])
	sum = crc32.Update(sum, castagnoli, template[:])
	sum = crc32.Update(sum, castagnoli, job.Digest[:])
	var numbers [9]byte
	binary.LittleEndian.PutUint64(numbers[:], uint64(schedule.Millis(job.Expires)))
	numbers[8] = byte(job.Flow.Priority)
	sum = crc32.Update(sum, castagnoli, numbers[:])
	sum = crc32.Update(sum, castagnoli, job.Recipient)
	for _, s := range [...]string{job.Address, job.Flow.Lane, job.Flow.Tenant, job.Flow.Campaign, job.Stream, job.Key, tags, meta} {
		sum = crc32.Update(sum, castagnoli, separator)
		sum = crc32.Update(sum, castagnoli, []byte(s))
	}
	return sum
}

var separator = []byte{0}
