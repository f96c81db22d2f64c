// Package queue sends mail durably: it stores what is to be sent, sends it as fast
// as each receiving provider likes, tries again what failed for now, and keeps
// what became of every mail. It runs inside the host's process.
//
// # The way of a mail
//
// [Queue.Send] and [Queue.SendAll] store one template and a small [Job] for each
// recipient, and return when they are on disk. [Queue.Run] claims jobs that are
// due, renders each, hands it to an [smtp.Transport], translates the server's
// answer with package bounce, and stores the outcome: delivered, to be tried
// again, or given up. Each step is a [tracking.Event].
//
//	q, err := queue.New(store, relay, tracker, nil)
//	go q.Run(ctx)
//	ids, err := q.Send(ctx, template, tracking.Recipient{To: mail.Address{Address: "ana@example.com"}})
//
// # What holds
//
// Mail that Send has acknowledged is delivered at least once, or given up with an
// event that says why. A process that is killed at any instant sends at most the
// attempts that were under way a second time, each as the same bytes: the
// Message-ID, the Date and the boundaries come from the job, so that receivers can
// recognise a repetition. There is no exactly once in SMTP: when the last byte of
// a mail went out and no answer came, nobody can know. Options.Indeterminate says
// what to do then.
//
// # Who owns what
//
// A [Store] keeps jobs and templates; the Queue decides which flow is served. The
// host owns the only long-lived goroutine, that of Run, which starts one for each
// attempt and waits for all of them before it returns. When its context ends, it
// claims nothing more, gives the attempts under way Options.DrainTimeout, and puts
// the rest back untouched. Stores, transports and trackers are closed by whoever
// made them, after Run has returned.
//
// # Order and fairness
//
// A [Flow] is all jobs of one lane (the recipient's domain), priority, tenant and
// campaign. Greater priorities go first; lanes take turns; inside a lane tenants
// take turns, and the campaigns of a tenant. Lanes draw on pools: that of their
// provider, or one of their own. A pool has limits (see [Shaping]) and adapts: it
// slows down when a provider says so, is suspended after failures in a row, and
// recovers step by step. A lane that is slow delays no other.
//
// # Several workers
//
// Each Run is a worker. Where workers share a store that knows them (a [Roster]: all
// of ours do), a limit is that of all together. Every worker has the same share of the
// connections and of the rate by the second of each destination, give or take one; of
// a limit that is less than the number of workers some have one and the others leave
// these lanes to them: who, differs from destination to destination. Hours and days are
// counted by the store (see [Meter]). [Queue.Pools] tells a worker's share.
//
// A worker that joins starts to send when all others have made room, after about two
// seconds; attempts that were under way count, for ten seconds at most. Who finds
// nobody starts at once. A worker that leaves gives its share back when its last
// attempt has ended, and the others have it two seconds later. One that dies, or that
// the store has not heard for five seconds, has stopped by then; the others have its
// share some two seconds after that. What such a worker had begun and could not store
// is sent again when its leases end, 90 seconds after the claim or the last
// extension: leases are extended while an attempt is under way or its outcome is
// being stored. How a destination adapts, each worker finds out for itself.
//
// # Stored encodings
//
// Templates, recipients and files begin with a version. A release reads what
// earlier ones wrote; what a later one wrote is an error that wraps [ErrCorrupt]
// and names the version, and nothing is changed.
package queue
