package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/franqueo/franqueo/queue"
)

// Options tunes a [Store]. The zero value is ready for use.
type Options struct {
	// Schema is that of the store's tables, which no one else should use. It is made
	// if it is missing. Empty means "franqueo".
	Schema string
	// Limit is the number of unfinished jobs above which Put answers
	// [queue.ErrFull]. They are counted once a second, so many processes together
	// can exceed it by what they put in that time. Zero means 100 million.
	Limit int
	// KeepFinished is how long jobs that are delivered, bounced or cancelled are
	// kept, from when they were last due. Their idempotency keys are known as long.
	// Templates go with the last of their jobs. Zero means 30 days; negative means
	// for ever.
	KeepFinished time.Duration
	// KeepEvents is how long events are kept. Zero means 400 days; negative means
	// for ever.
	KeepEvents time.Duration
	// Log receives what the sweep of old rows meets. Nil discards.
	Log *slog.Logger
}

// Store implements [queue.Store], [queue.Journal], [queue.SuppressionList],
// [queue.Meter], [queue.Waker] and [queue.Roster] in a schema of a PostgreSQL database. It is safe
// for concurrent use, by any number of processes.
type Store struct {
	*shared
	// db runs the statements: the pool, or the host's transaction.
	db database
	tx pgx.Tx // the host's, or nil
}

// database is what a pool and a transaction have in common.
type database interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// shared is what a store and its views in transactions share.
type shared struct {
	pool *pgxpool.Pool
	opts Options

	puts      *gatherer[*put]
	settles   *gatherer[*settlement]
	makings   *gatherer[*making]
	flows     cache[queue.Flow]
	seen      cache[queue.Flow] // flows that are read: nothing says for how long they are kept
	templates cache[queue.Hash]
	waiting   waiting
	notices   notices

	life context.Context    // of the store, which is the one to end it
	stop context.CancelFunc // ends it
	kept sync.WaitGroup     // what runs beside the calls

	mu     sync.Mutex // guards closed
	closed bool
	calls  sync.WaitGroup // under way
}

// Open opens the queue in a database, and makes its tables or brings them up to
// date. Nil options are the zero Options. It fails with [queue.ErrCorrupt] if a later
// release has written the tables. The caller closes the store, and then the pool,
// which stays the host's to use.
func Open(ctx context.Context, pool *pgxpool.Pool, opts *Options) (*Store, error) {
	s := &Store{shared: &shared{pool: pool}, db: pool}
	if opts != nil {
		s.opts = *opts
	}
	if err := s.opts.fill(); err != nil {
		return nil, err
	}
	s.notices.signal = make(chan struct{}, 1)
	s.puts = newGatherer(s.putGroup)
	s.settles = newGatherer(s.settleGroup)
	s.makings = newGatherer(s.makeFlows)
	if err := s.migrate(ctx); err != nil {
		return nil, fmt.Errorf("pgqueue: open schema %s: %w", s.opts.Schema, explain(err))
	}
	s.life, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.kept.Go(func() { s.runUpkeep(s.life) })
	s.kept.Go(func() { s.runNotices(s.life) })
	return s, nil
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,49}$`)

func (o *Options) fill() error {
	var faults []error
	if o.Schema == "" {
		o.Schema = "franqueo"
	}
	if !schemaName.MatchString(o.Schema) {
		faults = append(faults, fmt.Errorf("pgqueue: schema %q: use at most 50 lower case letters, digits and underscores", o.Schema))
	}
	if o.Limit < 0 {
		faults = append(faults, fmt.Errorf("pgqueue: limit %d is negative", o.Limit))
	}
	if o.Limit == 0 {
		o.Limit = 100_000_000
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
	return errors.Join(faults...)
}

// Tx returns a view of the store inside a transaction of the host, on the same
// database: what is put, applied or recorded through it happens if and only if the
// host commits, and with the host's own changes. Workers are woken by the commit.
// [queue.Queue.In] sends through it. On database/sql, [database/sql.Conn.Raw] has the
// connection on which to begin one.
//
// The view is good until the transaction ends, and no more safe for concurrent use
// than that. Templates and the names of flows are stored at once, and swept if
// nothing comes to name them. Other processes that hold or release mail wait for the
// transaction, so keep it short.
//
// Where the transaction is REPEATABLE READ or SERIALIZABLE and mail has been held or
// released since it began, to put more fails as such transactions do, with SQLSTATE
// 40001, and the host begins again; and a campaign, a tenant or a lane is held and
// released outside of it.
func (s *Store) Tx(tx pgx.Tx) *Store { return &Store{shared: s.shared, db: tx, tx: tx} }

// sql is a statement with the schema filled in.
func (s *shared) sql(statement string) string {
	return strings.ReplaceAll(statement, "@", s.opts.Schema+".")
}

// lockKey is the number of an advisory lock of this schema.
func (s *shared) lockKey(purpose string) int64 {
	h := fnv.New64a()
	h.Write([]byte("franqueo " + s.opts.Schema + " " + purpose))
	return int64(h.Sum64())
}

// enter counts a call that is under way, unless the store is closed. After nil the
// caller calls s.calls.Done.
func (s *shared) enter(ctx context.Context) error {
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

// brief is enter for a call that takes milliseconds: what is done with the context
// that it returns ends when the server is silent for long. After nil the caller calls
// leave.
func (s *Store) brief(ctx context.Context) (bounded context.Context, leave func(), err error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	bounded, stop := s.bound(ctx)
	return bounded, func() { stop(); s.calls.Done() }, nil
}

// patience is how long the server may be silent before it is taken for lost.
const patience = 20 * time.Second

// bound ends what waits for a server that is lost. All connections that the pool has
// then are as dead as the one that it waited for, and are made anew. A transaction of
// the host has the host's own bounds.
func (s *Store) bound(ctx context.Context) (bounded context.Context, stop func()) {
	if s.tx != nil {
		return ctx, func() {}
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	return bounded, func() {
		if bounded.Err() != nil && ctx.Err() == nil {
			s.pool.Reset()
		}
		cancel()
	}
}

// do runs f as a brief call of the store, in a transaction, and again if the database
// undid it for the sake of another.
func (s *Store) do(ctx context.Context, name string, f func(context.Context, pgx.Tx) error) error {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.named(name, again(ctx, func(int) error {
		return s.transact(ctx, func(tx pgx.Tx) error { return f(ctx, tx) })
	}))
}

// begin has the server end a transaction, with the locks that it holds, whose process
// it hears nothing of.
var begin = pgx.TxOptions{BeginQuery: fmt.Sprintf("BEGIN; SET LOCAL idle_in_transaction_session_timeout = %d", patience.Milliseconds())}

// transact runs f in a transaction, or in a savepoint of the host's.
func (s *Store) transact(ctx context.Context, f func(pgx.Tx) error) error {
	if s.tx != nil {
		return pgx.BeginFunc(ctx, s.tx, f)
	}
	return pgx.BeginTxFunc(ctx, s.pool, begin, f)
}

// again runs f until it is not undone for the sake of another transaction, telling
// it the number of the try.
func again(ctx context.Context, f func(try int) error) error {
	for try := 0; ; try++ {
		err := f(try)
		if try == maxTries || !undone(err) || ctx.Err() != nil {
			return err
		}
	}
}

const maxTries = 10

// Codes of SQLSTATE.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	diskFull             = "53100"
	readOnly             = "25006"
)

func undone(err error) bool {
	c := code(err)
	return c == uniqueViolation || c == serializationFailure || c == deadlockDetected
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// named says which call failed. Errors of package queue say so themselves.
func (s *shared) named(call string, err error) error {
	var key *queue.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &key), errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrClosed):
		return err
	}
	return fmt.Errorf("pgqueue: %s: %w", call, explain(err))
}

// explain adds the error of package queue that the database's stands for.
func explain(err error) error {
	switch code(err) {
	case diskFull:
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	case readOnly:
		return fmt.Errorf("%w: %w", queue.ErrReadOnly, err)
	}
	return err
}

// Close waits for calls under way. The pool stays open. Closing a view in a
// transaction does nothing.
func (s *Store) Close() error {
	if s.tx != nil {
		return nil
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.calls.Wait()
	s.kept.Wait()
	return nil
}
