// Package sqlitequeue keeps a queue, its events and its suppression list in one
// SQLite file. It is the store for a host that is one process: nothing else needs
// to run, and a call returns only after its data is synced to the disk.
//
// The order in which jobs are due lives in memory, about 60 bytes a job, and is
// loaded when the file is opened; the file is for durability. So a claim takes the
// same time however many jobs wait. Leases live in memory too, as one process owns
// the file: after a crash every job that was leased is due again at once, with the
// attempts that had been counted, and the tokens of the next process are greater
// than all of the last.
//
// Calls that come while the disk is busy are committed together, in one
// transaction with one sync.
//
// # The file
//
// The file may be read with any SQLite tool while the store is open. The view mail
// has a row for each mail; the tables are described in the schema itself (.schema
// in the sqlite3 shell). Writing to it from outside is not supported.
// Beside the file lie, while it is open, files with the suffixes -wal and -shm,
// and always an empty one with the suffix -lock. Copy the database with
// [Store.Backup], not with tools for files.
package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Options tunes a [Store]. The zero value is ready for use.
type Options struct {
	// Limit is the number of unfinished jobs above which Put answers
	// [queue.ErrFull]. Zero means 10 million, about 1 GB of memory.
	Limit int
	// KeepFinished is how long jobs that are delivered, bounced or cancelled are
	// kept, from when they were last due. Their idempotency keys are known as long.
	// Templates go with the last of their jobs. Zero means 30 days; negative means
	// for ever.
	KeepFinished time.Duration
	// KeepEvents is how long events are kept. Zero means 400 days; negative means
	// for ever.
	KeepEvents time.Duration
	// CheckAll has Open read the whole file for damage, which takes about a second
	// a gigabyte. Without it Open checks what the schedule is made of, and damage
	// elsewhere is found when it is read.
	CheckAll bool
	// Log receives what the sweep of old rows meets. Nil discards.
	Log *slog.Logger
}

// Store implements [queue.Store], [queue.Journal], [queue.SuppressionList],
// [queue.Meter] and [queue.Roster] on one SQLite file. It is safe for concurrent use.
type Store struct {
	path    string
	opts    Options
	lock    io.Closer
	writer  *writer
	readers chan *conn
	stop    context.CancelFunc // ends the sweep
	swept   chan struct{}      // closed when it has ended

	templates templates

	mu       sync.Mutex // guards schedule, roster and closed
	schedule *schedule.Schedule
	roster   schedule.Roster
	closed   bool
	calls    sync.WaitGroup // under way
}

// readers is how many calls can read at the same time.
const readers = 4

// Open opens the queue in the file of this path, and makes it if there is none.
// Nil options are the zero Options. It fails with [queue.ErrLocked] while another
// process has it open, and with [queue.ErrCorrupt] if it is damaged, not a queue,
// or written by a later release. The caller closes the store.
func Open(path string, opts *Options) (*Store, error) {
	s := &Store{path: path, swept: make(chan struct{})}
	if opts != nil {
		s.opts = *opts
	}
	if err := s.opts.fill(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			err = fmt.Errorf("%w: %w", queue.ErrReadOnly, err)
		}
		return nil, errors.Join(fmt.Errorf("sqlitequeue: open %s: %w", path, err), s.release())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.runWriter()
	go s.runSweep(ctx)
	return s, nil
}

func (o *Options) fill() error {
	if o.Limit < 0 {
		return fmt.Errorf("sqlitequeue: limit %d is negative", o.Limit)
	}
	if o.Limit == 0 {
		o.Limit = 10_000_000
	}
	if o.KeepFinished == 0 {
		o.KeepFinished = 30 * 24 * time.Hour
	}
	if o.KeepEvents == 0 {
		o.KeepEvents = 400 * 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (s *Store) open() (err error) {
	if s.lock, err = lock(s.path); err != nil {
		return err
	}
	if err := checkHeader(s.path); err != nil {
		return err
	}
	c, err := dial(s.path, writerPragmas)
	if err != nil {
		return err
	}
	s.writer = &writer{
		conn:      c,
		calls:     make(chan *call, groupSize),
		ended:     make(chan struct{}),
		flows:     map[queue.Flow]int64{},
		templates: map[queue.Hash]int64{},
	}
	if err := c.migrate(); err != nil {
		return err
	}
	if s.opts.CheckAll {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := s.load(); err != nil {
		return err
	}
	s.readers = make(chan *conn, readers)
	for range readers {
		c, err := dial(s.path, "PRAGMA query_only = ON;")
		if err != nil {
			return err
		}
		s.readers <- c
	}
	return nil
}

// writerPragmas are those of the writer. A page of 8 KiB is small enough for single
// settlements, and large enough that a mail of 10 KiB takes few: measured, it is the
// best for both. The log is copied into the file when it has 32 MiB.
const writerPragmas = `
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA wal_autocheckpoint = 4096;
PRAGMA cache_size = -16384;
`

// checkHeader finds a file that is no database, or shorter than it says it is.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: not a SQLite file", queue.ErrCorrupt)
	}
	// A log that waits to be copied into the file can hold the rest of it.
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return nil
	}
	pageSize := int64(binary.BigEndian.Uint16(header[16:]))
	if want := pageSize * int64(binary.BigEndian.Uint32(header[28:])); info.Size() < want {
		return fmt.Errorf("%w: %d bytes of %d are left", queue.ErrCorrupt, info.Size(), want)
	}
	return nil
}

// check reads the whole file, and counts what is finished, which no index repeats.
func (c *conn) check() error {
	var fault string
	err := c.query(context.Background(), func(v []driver.Value) error {
		fault = text(v[0])
		return nil
	}, "PRAGMA integrity_check(1)")
	if err != nil {
		return err
	}
	if fault != "ok" {
		return fmt.Errorf("%w: %s", queue.ErrCorrupt, fault)
	}
	return c.query(context.Background(), func(v []driver.Value) error {
		return fmt.Errorf("%w: %d jobs have %q, and should be %d", queue.ErrCorrupt, integer(v[2]), text(v[0]), integer(v[1]))
	}, `SELECT name, value, (SELECT count(*) FROM job WHERE 'ended ' || state = name) AS found
		FROM meta WHERE name LIKE 'ended %' AND value <> found`)
}

// load makes the schedule from the file.
func (s *Store) load() error {
	c := s.writer.conn
	if _, err := c.exec("UPDATE meta SET value = value + 1 WHERE name = 'epoch'"); err != nil {
		return err
	}
	epoch, err := c.number("SELECT value FROM meta WHERE name = 'epoch'")
	if err != nil {
		return err
	}
	s.schedule = schedule.New(uint64(epoch))
	for state := queue.Delivered; int(state) < states; state++ {
		n, err := c.number("SELECT value FROM meta WHERE name = ?", endedName(state))
		if err != nil {
			return err
		}
		s.schedule.End(state, int(n))
	}
	if err := s.loadHolds(); err != nil {
		return err
	}
	if err := s.loadJobs(); err != nil {
		return err
	}
	return c.query(context.Background(), func(v []driver.Value) error {
		return scanID(&s.writer.newest, v[0])
	}, "SELECT max(id) FROM job")
}

func (s *Store) loadHolds() error {
	return s.writer.query(context.Background(), func(v []driver.Value) error {
		s.schedule.Holds().Add(schedule.Scope{Lane: text(v[0]), Tenant: text(v[1]), Campaign: text(v[2])})
		return nil
	}, "SELECT lane, tenant, campaign FROM hold")
}

func (s *Store) loadJobs() error {
	flows := map[int64]queue.Flow{}
	err := s.writer.query(context.Background(), func(v []driver.Value) error {
		flows[integer(v[0])] = scanFlow(v[1:])
		return nil
	}, "SELECT id, "+flowColumns+" FROM flow")
	if err != nil {
		return err
	}
	return s.writer.query(context.Background(), func(v []driver.Value) error {
		var id tracking.ID
		if err := scanID(&id, v[0]); err != nil {
			return err
		}
		flow, ok := flows[integer(v[1])]
		if !ok {
			return fmt.Errorf("%w: job %v is of no known flow", queue.ErrCorrupt, id)
		}
		s.schedule.Add(id, flow, schedule.Time(integer(v[2])), queue.State(integer(v[3])))
		return nil
	}, "SELECT id, flow, due, state FROM job INDEXED BY job_unfinished WHERE state < 2")
}

// enter counts a call that is under way, unless the store is closed. After nil the
// caller calls s.calls.Done.
func (s *Store) enter(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// read runs f with a connection for reading.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.withReader(ctx, f)
}

func (s *Store) withReader(ctx context.Context, f func(*conn) error) error {
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return f(c)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for calls under way, and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	<-s.swept
	s.calls.Wait()
	close(s.writer.calls)
	<-s.writer.ended
	return s.release()
}

// release closes what is open, the lock last.
func (s *Store) release() error {
	var errs []error
	for range len(s.readers) {
		errs = append(errs, (<-s.readers).close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Stats counts the jobs.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	if err := s.enter(ctx); err != nil {
		return queue.Stats{}, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.schedule.Stats(), nil
}

// Flows yields the flows with a ready job.
func (s *Store) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	ready := s.schedule.Flows(nil)
	s.mu.Unlock()
	s.calls.Done()
	for _, r := range ready {
		if !yield(r.Flow, r.Due) {
			break
		}
	}
	return nil
}
