// Package pgqueue keeps a queue, its events and its suppression list in a schema of
// a PostgreSQL database, for hosts that run many processes. Every process opens the
// store, and any number of them run the queue: a job is claimed by one of them.
//
// # Mail and business data together
//
// [Store.Tx] is the store inside a transaction of the host. Mail that is sent
// through it is queued if and only if the host's own changes are committed:
//
//	tx, err := pool.Begin(ctx)
//	…
//	defer tx.Rollback(ctx)
//	… // the order is stored
//	_, err = q.In(store.Tx(tx)).Send(ctx, confirmation, customer)
//	…
//	err = tx.Commit(ctx)
//
// # How it works
//
// A claim names flows, and reads each from the beginning of its part of one index:
// its time does not depend on how deep the others are, blocked or not. What it leases
// is due again when the lease ends, so the jobs of a worker that died are sent by the
// others; a token that grows with each claim keeps the dead from settling them.
//
// Calls that come while others are under way are done together, in one transaction.
// A batch of a hundred jobs or more is copied. A commit that brings work wakes the
// workers of all processes through LISTEN and NOTIFY; what that should miss is found
// within a second.
//
// Limits by the hour and the day are counted in the database and hold for the sum of
// all processes. What a dead process had been granted and not used, a twentieth of
// the limit at most, comes back when the window has passed.
//
// # What it needs
//
// PostgreSQL 13 or later, or a server that speaks its protocol and has: FOR UPDATE
// SKIP LOCKED in a lateral subquery; COPY; partial indexes; statement triggers with
// transition tables; advisory locks of transactions; and LISTEN and NOTIFY, without
// which work of other processes is found within a second instead of at once.
// Through PgBouncer it needs the pooling mode session, since it listens.
//
// The clocks of the processes decide what is due, and should agree within seconds,
// as NTP keeps them.
package pgqueue
