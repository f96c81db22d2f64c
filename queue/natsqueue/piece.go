package natsqueue

import (
	"encoding/binary"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// piece is as much of a batch as fits into a message. The last one puts the batch.
type piece struct {
	call  uint64 // counts the batches of a session
	part  int    // counts the pieces of a batch, from 0
	last  bool
	limit int64 // of unfinished jobs; 0 if there is none
	hash  queue.Hash
	// chunk is a part of the template, if the batch brings it.
	hasText bool
	chunk   []byte
	flows   []queue.Flow // of the jobs
	jobs    []putJob
}

// outline is of a piece in which single jobs are looked up.
type outline struct {
	hash    queue.Hash
	chunk   []byte
	count   int // of the jobs
	encoded []byte
}

// putJob is a job as the state needs it when it comes; body has the rest.
type putJob struct {
	head
	key, address, last, body []byte
}

// head is what of a job has a fixed size.
type head struct {
	id       [16]byte
	flow     int // in the piece
	due      int64
	state    queue.State
	attempts uint16
	digest   [16]byte
}

// Flags of a piece.
const (
	pieceLast = 1 << iota
	pieceText
)

func (p *piece) append(b []byte) []byte {
	var flags byte
	if p.last {
		flags |= pieceLast
	}
	if p.hasText {
		flags |= pieceText
	}
	b = binary.AppendUvarint(append(b, byte(kindPiece), flags), p.call)
	b = binary.AppendUvarint(b, uint64(p.part))
	b = binary.AppendUvarint(b, uint64(p.limit))
	b = append(b, p.hash[:]...)
	if p.hasText {
		b = appendText(b, p.chunk)
	}
	b = binary.AppendUvarint(b, uint64(len(p.flows)))
	for _, f := range p.flows {
		b = appendFlow(b, f)
	}
	b = binary.AppendUvarint(b, uint64(len(p.jobs)))
	var scratch []byte
	for i := range p.jobs {
		scratch = p.jobs[i].append(scratch[:0])
		b = appendText(b, scratch) // its length lets a reader pass over it
	}
	return b
}

func (j *putJob) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, j.id[:]...), uint64(j.flow))
	b = binary.AppendVarint(b, j.due)
	b = binary.AppendUvarint(append(b, byte(j.state)), uint64(j.attempts))
	if j.digest == [16]byte{} {
		b = append(b, 0)
	} else {
		b = appendText(b, j.digest[:])
	}
	return appendText(appendText(appendText(appendText(b, j.key), j.address), j.last), j.body)
}

const (
	putJobSize = 16 + 10 // at least, with its length
	// pieceSize is the most that a piece without chunk, flows and jobs takes.
	pieceSize  = 2 + 6*binary.MaxVarintLen64 + len(queue.Hash{})
	pieceLeast = 2 + 5 + len(queue.Hash{})
)

func (d *decoder) piece() command {
	p := d.pieceHead()
	p.flows = make([]queue.Flow, d.count(4))
	for i := range p.flows {
		p.flows[i] = d.flow()
	}
	p.jobs = make([]putJob, d.jobCount())
	for i := range p.jobs {
		if job := (decoder{b: d.bytes()}); d.err == nil {
			job.putJob(&p.jobs[i], len(p.flows))
			if err := job.end(); err != nil {
				d.fail("job %d: %v", i, err)
			}
		}
	}
	return p
}

// pieceHead reads what comes before the flows.
func (d *decoder) pieceHead() *piece {
	p := &piece{}
	flags := d.byte()
	if flags > pieceLast|pieceText {
		d.fail("piece with flags %d", flags)
	}
	p.last, p.hasText = flags&pieceLast != 0, flags&pieceText != 0
	p.call = d.uvarint()
	p.part = d.natural(1 << 30)
	p.limit = int64(d.natural(1 << 50))
	copy(p.hash[:], d.take(len(p.hash)))
	if p.hasText {
		p.chunk = d.bytes()
	}
	return p
}

func (d *decoder) jobCount() int {
	n := d.count(putJobSize)
	if n > maxOrdinal {
		d.fail("piece of %d jobs", n)
		return 0
	}
	return n
}

// outline reads a piece, and passes over its jobs.
func (d *decoder) outline() (o outline) {
	p := d.pieceHead()
	for range d.count(4) {
		d.bytes()
		d.byte()
		d.bytes()
		d.bytes()
	}
	o = outline{hash: p.hash, chunk: p.chunk, count: d.jobCount(), encoded: d.b}
	for range o.count {
		d.bytes()
	}
	return o
}

// job reads the job of this ordinal.
func (o *outline) job(ordinal int) (j putJob, err error) {
	d := decoder{b: o.encoded}
	for range ordinal {
		d.bytes()
	}
	d = decoder{b: d.bytes(), err: d.err}
	d.putJob(&j, 1<<30)
	return j, d.end()
}

func (d *decoder) putJob(j *putJob, flows int) {
	j.id = d.id()
	if j.flow = d.natural(1 << 30); j.flow >= flows {
		d.fail("flow %d of %d", j.flow, flows)
	}
	j.due, j.state = d.varint(), d.state()
	if j.state > queue.Held {
		d.fail("new job of state %v", j.state)
	}
	j.attempts = uint16(d.natural(maxAttempts))
	switch digest := d.bytes(); len(digest) {
	case 0:
	case len(j.digest):
		j.digest = [16]byte(digest)
	default:
		d.fail("digest of %d bytes", len(digest))
	}
	j.key, j.address, j.last, j.body = d.bytes(), d.bytes(), d.bytes(), d.bytes()
}

// encodeJob makes of a job what is put.
func encodeJob(job *queue.Job, flow int) putJob {
	body := binary.AppendVarint(nil, schedule.Millis(job.Expires))
	body = appendMeta(appendTags(appendText(appendText(body, job.Recipient), job.Stream), job.Tags), job.Meta)
	return putJob{
		head: head{
			id: job.ID, flow: flow, due: schedule.Millis(job.Due), state: job.State,
			attempts: uint16(min(max(job.Attempts, 0), maxAttempts)), digest: job.Digest,
		},
		key: []byte(job.Key), address: []byte(job.Address), last: []byte(job.Last), body: body,
	}
}

// job undoes encodeJob, but for what the state knows better.
func (j *putJob) job(flow queue.Flow, template queue.Hash) (queue.Job, error) {
	d := decoder{b: j.body}
	job := queue.Job{
		ID: j.id, Flow: flow, Template: template, Address: string(j.address), Key: string(j.key), Digest: j.digest,
		Expires: schedule.Time(d.varint()),
	}
	if recipient := d.bytes(); len(recipient) > 0 {
		job.Recipient = append([]byte(nil), recipient...)
	}
	job.Stream, job.Tags, job.Meta = d.text(), d.tags(), d.meta()
	return job, d.end()
}
