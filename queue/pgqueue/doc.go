// Package pgqueue keeps a queue, its events and its suppression list in a schema of a
// PostgreSQL database, for hosts that run many processes. Every process opens the
// store, and any number of them run the queue: a job is claimed by one of them.
//
// # Mail and business data together
//
// [Store.Tx] is the store inside a transaction of the host. Mail that is sent through
// it is queued if and only if the host's own changes are committed:
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
// Calls that come while others are under way are done together, in one transaction,
// and return when it is on the server's disk. The next waits for those who come back
// at once, as long as they come faster than the disk takes for them. Only a claim
// does not wait for the disk: one that a crash undoes leaves its jobs due again, with
// greater tokens. A batch of a hundred jobs or more is copied. A commit that brings
// work wakes the workers of all processes through LISTEN and NOTIFY; what that should
// miss is found within a second.
//
// All limits hold for the sum of all processes. Those of connections and by the
// second are divided among the workers that live, which the server's clock decides:
// each writes a row and reads the others' once a second, and four times a second
// while workers come or go. Those by the hour and the day are counted. What a dead
// process had been granted and not used, a twentieth of the limit at most, comes back
// when the window has passed.
//
// # What it needs
//
// PostgreSQL 13 or later, or a server that speaks its protocol and has: FOR UPDATE
// SKIP LOCKED in a lateral subquery; COPY; partial indexes; statement triggers with
// transition tables; advisory locks of transactions; the settings
// idle_in_transaction_session_timeout, jit and plan_cache_mode; and LISTEN and
// NOTIFY, without which work of other processes is found within a second instead of
// at once. Through PgBouncer it needs the pooling mode session, since it listens.
//
// A server that is silent for 20 seconds is taken for lost, and the pool makes new
// connections. Give the pool's URL a connect_timeout of some seconds, or it waits two
// minutes for a connection that does not come.
//
// The clocks of the processes decide what is due, and should agree within seconds, as
// NTP keeps them: a worker whose clock is more than five off the server's logs a
// warning. A transaction that anyone leaves open on the server for long keeps dead
// rows in every table, and claims have to step over them.
//
// # What it costs
//
// Measured with the client and the server on the same two cores (go test -bench .): a
// campaign is stored at 200,000 recipients a second; messages of 10 KiB of their own,
// one with each call, at 1,800 to 2,700 a second from one caller, 7,000 to 9,000 from
// 16 and 10,000 to 13,000 from 128; jobs are claimed and settled, a hundred at a
// time, at 33,000 a second; claimed, and settled one by one with their events, at
// 20,000 with 128 under way, and with 64 in each process at 15,000 from one process,
// 16,000 from two and 15,000 from four. For all these the disk's syncs decide: with
// others who kept it and the cores busy it was a quarter. With a million queued,
// 900,000 of them in one blocked lane, a claim of 100 jobs of ten other lanes takes
// 1.5 ms, and 2.4 ms at the 99th percentile. A recipient takes 270 bytes with the
// indexes, three times that until the server has vacuumed what its claim and its
// settlement left behind, and an event 260. From the commit of a message to the start
// of its attempt in another process it takes 1 ms on an idle system.
//
// 100 million mails a day are 1,160 a second, and some 5,000 in the busy hours: one
// server can do that if its disk syncs within a millisecond and it has cores of its
// own, which is reckoned from the above and not measured. A day of them is up to 80
// GB of jobs and 26 GB of events, one each, and the defaults keep jobs for 30 days
// and events for 400: keep both for a few days there, and hand the events on to an
// archive with the queue's Sink. Beyond that, split the tenants among databases, each
// with a store and a queue of its own.
package pgqueue
