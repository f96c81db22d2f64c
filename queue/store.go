package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

// Store keeps jobs and templates. It knows flows and due times, and nothing of
// mail. memqueue, sqlitequeue, pgqueue and natsqueue implement it;
// queuetest.TestStore is its contract as tests.
//
// Every method is safe for concurrent use, returns only when its effect is
// durable, and keeps nothing of its arguments after it returns. Every method but
// Close can be repeated after an error: what it did before it failed it does not
// do twice. After Close all return [ErrClosed].
//
// The [Queue], not the Store, decides which flow is next. So a Store never has to
// search past blocked work: it answers for the flows that a claim names, in a
// time that does not depend on how deep the others are.
//
// A Store that also implements [Journal] keeps events, and one that implements
// [SuppressionList] keeps addresses that must not be mailed. [Meter] and [Roster] make
// limits hold for all who share it, and [Waker] tells them of work.
type Store interface {
	// Put stores a template, unless one of the same hash is known, and jobs, all or
	// nothing. It returns one Accepted for each job, in order. A job whose ID is
	// known, or whose key is known with the same digest, changes nothing; a job
	// whose key is known with another digest fails the whole batch with a
	// [*KeyError]. A job whose flow is held is stored as held.
	// A batch that would exceed the store's limit is refused with [ErrFull], and
	// one without a template whose hash is unknown with [ErrNotFound].
	// A job's State can be Ready or Held.
	Put(ctx context.Context, b *Batch) ([]Accepted, error)

	// Template returns the stored template of this hash, or [ErrNotFound]. The
	// caller must not change it.
	Template(ctx context.Context, hash Hash) ([]byte, error)

	// Flows calls yield for every flow that has a ready job, and with the time at
	// which the first of them is due, in any order, until yield returns false.
	// Leased jobs count with the end of their lease. yield may call the Store.
	Flows(ctx context.Context, yield func(Flow, time.Time) bool) error

	// Claim leases up to N due jobs of each named flow, oldest due time first, until
	// the given time. A job whose lease has run out is due again. Each claim of a
	// job gets a greater token than the one before, also across restarts, and
	// Attempt is one more than the number of counted attempts. A store that one
	// process owns may keep leases in memory: after a restart all leased jobs are
	// due as before their claim.
	Claim(ctx context.Context, now, until time.Time, flows []FlowClaim) ([]Lease, error)

	// Settle ends or extends leases, and stores the events that go with the changes,
	// in one step. A change whose token is not that of the current lease is
	// skipped with its events, and its ID returned. A lease that has run out but
	// was not claimed again can still be settled. Settled again after success, a
	// change is stale.
	Settle(ctx context.Context, changes []Change) (stale []tracking.ID, err error)

	// Apply does what action says to every job that the filter matches, and returns
	// how many it changed. Hold by lane, tenant or campaign also holds what
	// arrives later, also across restarts, until a Release whose filter covers it: a
	// Release of a campaign ends the holds of that campaign in any lane, and not
	// the hold of a lane. Filters that set anything else are about stored jobs only.
	// A leased job is left to its lease: cancelled and held take effect when it is
	// settled as Ready or when the lease runs out, and Retry changes it only if it
	// had been cancelled.
	Apply(ctx context.Context, f Filter, action Action, now time.Time) (int, error)

	// List returns up to limit jobs that the filter matches, in the order of their
	// IDs, from the first after the given one. Zero starts at the beginning.
	List(ctx context.Context, f Filter, after tracking.ID, limit int) ([]Job, error)

	// Stats counts what is in the store. It is cheap enough to be called each second.
	Stats(ctx context.Context) (Stats, error)

	// Close releases what the store holds. It waits for calls under way.
	Close() error
}

// Errors of stores.
var (
	ErrClosed   = errors.New("queue: store is closed")
	ErrNotFound = errors.New("queue: not found")
	ErrFull     = errors.New("queue: full")
	// ErrCorrupt is wrapped when stored data cannot be read: a truncated or altered
	// file, or one that a later release wrote.
	ErrCorrupt = errors.New("queue: stored data is damaged or of an unknown version")
	// ErrLocked is wrapped when another process holds the file.
	ErrLocked = errors.New("queue: held by another process")
	// ErrNoSpace is wrapped when the disk is full, and ErrReadOnly when it, or the
	// file, cannot be written. What was stored stays readable.
	ErrNoSpace  = errors.New("queue: no space left")
	ErrReadOnly = errors.New("queue: cannot be written")
)

// KeyError says that an idempotency key came again with other content.
type KeyError struct {
	Key   string
	First tracking.ID // the job that has the key
}

func (e *KeyError) Error() string {
	return "queue: idempotency key " + strconv.Quote(e.Key) + " was used for other content by job " + e.First.String()
}

// Hash is the SHA-256 of a stored template.
type Hash [32]byte

// Flow is the unit that a claim names: all jobs that are alike for scheduling.
// It is comparable. Inside a flow jobs are served by due time.
type Flow struct {
	// Lane is the recipient's domain, in lower case, as A-labels.
	Lane string
	// Priority: greater goes first. See [Transactional] and [Bulk].
	Priority Priority
	Tenant   string
	Campaign string
}

// Priority orders the flows of a lane.
type Priority int8

// The usual priorities. The zero value is Bulk's.
const (
	Bulk          Priority = 0
	Transactional Priority = 10
)

// Job is one mail to one recipient, as it is stored.
type Job struct {
	ID   tracking.ID
	Flow Flow
	// Template is the hash of what it renders.
	Template Hash
	// Address is the recipient's addr-spec.
	Address string
	// Recipient is the encoded recipient (see encodeRecipient): all that rendering
	// needs beside the template. Its first byte is a version.
	Recipient []byte
	// Stream, Tags and Meta label the events of the job.
	Stream string
	Tags   []string
	Meta   map[string]string
	// Key is the idempotency key; empty if there is none. Digest tells contents
	// apart that come with the same key. A key is known while its job is kept.
	Key    string
	Digest [16]byte

	// Due is when it may be sent next, and Expires when it is given up. Both have
	// millisecond precision; the zero Expires never comes.
	Due, Expires time.Time

	State State
	// Attempts counts the attempts that counted.
	Attempts int
	// Last is the outcome of the latest attempt, for people to read.
	Last string
}

// State is where a job stands.
type State uint8

// The states. Ready covers jobs that wait for their due time and those leased.
const (
	Ready State = iota
	Held
	Delivered
	Bounced   // given up on; Retry brings it back
	Cancelled // by the host, or never sent: suppressed, expired before the first attempt
	states    = int(Cancelled) + 1
)

var stateNames = [states]string{"ready", "held", "delivered", "bounced", "cancelled"}

// String is the stable name, such as "ready".
func (s State) String() string {
	if int(s) < states {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Batch is what one Put stores.
type Batch struct {
	// Hash is that of Template, and of the Template of every job; jobs may leave
	// theirs zero.
	Hash Hash
	// Template may be nil if the store has it.
	Template []byte
	Jobs     []Job
}

// Accepted answers for one job of a batch.
type Accepted struct {
	// ID is that of the job, or of the first job with its key.
	ID tracking.ID
	// Known says that the job, or its key, had been stored before.
	Known bool
}

// FlowClaim asks for up to N jobs of a flow.
type FlowClaim struct {
	Flow Flow
	N    int
}

// Lease is a claimed job.
type Lease struct {
	Job
	// Attempt is the number of this attempt, from 1.
	Attempt int
	// Token is the fencing token: it grows with every claim of the job.
	Token uint64
	Until time.Time
}

// Change ends or extends one lease.
type Change struct {
	ID    tracking.ID
	Token uint64
	// State is where the job goes. Ready reschedules it for Due.
	State State
	Due   time.Time
	// Extend, if not zero, only moves the end of the lease; nothing else changes.
	Extend time.Time
	// Counts says whether this was an attempt: a job that was released untried
	// keeps its number.
	Counts bool
	// Last replaces the job's Last, unless empty.
	Last string
	// Events are recorded in the same step, by stores that keep events.
	Events []tracking.Event
}

// Filter picks jobs: those that meet every field that is set. The zero Filter
// matches all.
type Filter struct {
	IDs      []tracking.ID
	Lane     string
	Tenant   string
	Campaign string
	Address  string
	// States, if not empty, lists those that match.
	States []State
}

// Action is what Apply does to jobs.
type Action uint8

// The actions.
const (
	Cancel  Action = iota // ready and held jobs become cancelled
	Hold                  // ready jobs become held
	Release               // held jobs become ready, due as before
	Retry                 // bounced, cancelled and ready jobs become ready and due now, attempts kept
)

// Stats counts jobs.
type Stats struct {
	// ByState counts the jobs that are kept, by their state.
	ByState [states]int
	// Leased counts those of Ready that are leased.
	Leased int
	// Oldest is the earliest due time of a ready job; zero if there is none.
	Oldest time.Time
	// Flows counts the ready and held jobs of each flow that has any.
	Flows map[Flow]FlowStats
}

// FlowStats counts the jobs of one flow.
type FlowStats struct {
	Ready, Leased, Held int
	// Oldest is the earliest due time of a ready job.
	Oldest time.Time
}

// Journal keeps events. Record keeps one row for each event ID, that of the first,
// with its time in milliseconds. Where an event names a stored job as its Message,
// what it leaves empty of recipient, campaign, stream, tenant, tags and meta is
// filled in from the job; so are the events of a [Change]. In the same step an
// Unsubscribed event puts the recipient on the [SuppressionList] for the job's
// stream, and a Resubscribed one takes that entry off: [ByUnsubscribe] makes it.
type Journal interface {
	tracking.Sink
	// Events returns up to limit events that the filter matches, by time, from the
	// first after the given event ID in that order. Zero starts at the beginning.
	Events(ctx context.Context, f EventFilter, after tracking.ID, limit int) ([]tracking.Event, error)
}

// EventFilter picks events: those that meet every field that is set.
type EventFilter = tracking.EventFilter

// SuppressionList keeps addresses that must not be mailed. Addresses are compared
// without case.
type SuppressionList interface {
	// Suppress adds or replaces entries, by address and stream.
	Suppress(ctx context.Context, entries []Suppression) error
	// Suppressed returns, for each address in order, the entry that keeps it from
	// being mailed on this stream now, or nil. An entry without a stream holds for
	// all.
	Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*Suppression, error)
	// Unsuppress removes the entry of this address and stream, or [ErrNotFound].
	Unsuppress(ctx context.Context, address, stream string) error
	// Suppressions calls yield for every entry, by address, until it returns false.
	Suppressions(ctx context.Context, yield func(Suppression) bool) error
}

// ByUnsubscribe is the suppression that an [tracking.Unsubscribed] event asks for,
// or a [tracking.Resubscribed] one ends. The event must name its recipient.
func ByUnsubscribe(e *tracking.Event) Suppression {
	return Suppression{
		Address: e.Recipient, Stream: e.Stream, Reason: bounce.OptOut,
		Detail: "unsubscribed", Message: e.Message, Since: e.Time,
	}
}

// Suppression is why an address is not to be mailed.
type Suppression struct {
	Address string
	// Stream limits it to one stream of mail; empty means all.
	Stream string
	Reason bounce.Reason
	// Detail is for people: the reply, or who added it.
	Detail string
	// Message is the mail that led to it, if one did.
	Message tracking.ID
	Since   time.Time
	// Until is when it ends; zero means never.
	Until time.Time
}
