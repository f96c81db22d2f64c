// Package natsqueue keeps a queue, its events and its suppression list in streams of
// NATS JetStream, for hosts that run many processes. Every process opens the store,
// and any number of them run the queue: a job is claimed by one of them. What is
// acknowledged is on a majority of the servers, and outlives the loss of one of
// three.
//
// # How it works
//
// The stream is a log of commands: put these jobs, claim so many of that flow, settle
// these leases. A call is published, acknowledged when a majority of the servers has
// it, and returns when this process has read its own command back. Every process
// applies all commands in the order of the stream, and so all come to the same state:
// of two claims the one that is first in the stream gets the jobs. Calls that come
// while others are under way share a message, so one round of the servers serves
// hundreds of jobs. A message that is published again, since its acknowledgement was
// lost, is applied once, however late it comes.
//
// Each process has the state in memory: of each job its ID, flow, due time, state and
// lease, and the whole suppression list. What is to be sent stays in the stream, and
// is read when a job is claimed or listed, unless it came by lately. When enough has
// been published, one process writes the state down in a stream of its own, and what
// led to it is deleted. A process that opens the store, or was cut off for so long
// that it missed what is deleted, begins with that snapshot. One that dies while it
// writes a snapshot leaves the one before as it was.
//
// Events are stored in one step with what they come with, and then taken to a third
// stream, one message each, as JSON, under <stream>.event.<message>.<CRC-32 of the
// recipient>.<event>; other programs can read it. Events sees those on their way,
// too.
//
// A worker that dies leaves its jobs due again when their leases end; a token that
// grows with each claim keeps the dead from settling them. What a claim has leased
// when nobody waits for it any more is given back.
//
// # What it needs
//
// NATS servers with JetStream, tested with release 2.15: three of them for
// Options.Replicas of 3, which is the default. A batch or a template may be larger
// than the server's max_payload; a single job, or event, may not. The account of the
// connection makes the streams <stream>, <stream>-snapshot and <stream>-event,
// publishes below <stream>., and uses the API of JetStream. The host owns the
// connection: let it reconnect for ever. Whoever makes the streams beforehand gives
// them limits that never end the first two: no max_age, and discard new.
//
// Due times and the ends of leases are by the clocks of the processes, which should
// agree within seconds, as NTP keeps them. Snapshots, the lives of workers and what
// is remembered of events go by the clock of the stream.
//
// # When servers or the network fail
//
// While the servers choose a new leader, 2 to 7 seconds as measured when one was
// stopped, calls wait, and are published again until they are acknowledged or their
// context ends. A process that is cut off gets the error of its context from every
// call that changes something or has to fetch a body; what then became of the call is
// not known, and to repeat it does nothing twice. Take is the exception: what it was
// granted counts as sent. Stats, Flows and Suppressed answer from memory, and are as
// old as the separation. Reads in one process show what it has done itself; what
// others do shows a moment later.
//
// A server that has fallen silent, since it is cut off without a word, is left for
// another within ten seconds: the store has the host's connection reconnect.
//
// JetStream acknowledges when a majority has a message in memory, and by default
// writes it to disk within two minutes (sync_interval in the server's configuration).
// A server that crashes loses nothing, nor does the loss of one machine. If power
// fails in a majority of the machines at once, what was acknowledged in those minutes
// can be lost, and mail with it. With servers in one place that share their power,
// set
//
//	jetstream { sync_interval: always }
//
// which makes a message that is put alone take five times as long, and a campaign
// four times (see below). A process that finds the stream behind what it has applied
// begins anew with what there is, and logs an error.
//
// # What it costs
//
// Measured with the three servers and the client on the same two cores (go test
// -bench .), at the default sync, and with sync_interval always in parentheses: a
// campaign is stored at 500,000 (370,000) recipients a second; messages of 10 KiB of
// their own, one with each call, at 3,200 to 4,400 (900) a second from one caller,
// 9,000 (4,400) from 16 and 10,000 to 12,000 (5,600) from 128; jobs are claimed and
// settled, a hundred at a time from 16 workers, at 55,000 (35,000) a second, and
// claimed, and settled one by one with their events, with 64 under way in each
// process, at 7,000 from one process and 9,000 from two and from four. Events reach
// their stream at 27,000 a second. With a million queued, 900,000 of them in one
// blocked lane, a claim of 100 jobs of ten other lanes takes 0.5 ms (1.1), and 0.8 ms
// (2.0) at the 99th percentile. On one server with one replica a campaign is stored
// at 450,000 recipients a second, and 75,000 jobs are claimed and settled. On
// machines whose cores are busy with something else all of this was a third.
//
// A process keeps 145 bytes in memory of a job, unfinished or finished and kept, for
// a day unless Options.KeepFinished says otherwise; what is longest, the address and
// the fields, is not in it. A snapshot takes 36 bytes a job. One of 200,000 jobs
// takes 0.15 s to write, for half of which the process that writes it applies
// nothing, and as long to open. All processes read all that is published, 530 bytes a
// mail of a campaign, so ten of them at 1,000 mails a second take 5 MB a second from
// the servers. An event takes 550 bytes on each server's disk, and its subject stays
// in the server's memory.
//
// # What it cannot do cheaply
//
// Cancel, Hold, Release and Retry by campaign, tenant, lane or state are one command,
// however many jobs they meet, but every process looks at every job it keeps: 40 ms a
// million, and 4 µs for each that is changed. A filter by address looks at a hash of
// it that is kept in memory, and reads what has the same: 6 ms for ten jobs among
// 200,000 that were not in the cache. List reads the message, of up to 128 KiB, of
// each job that it returns and that is not in the cache.
//
// Events of one message, or one recipient, are found by their subject: 2 ms. Any
// other filter reads all events since Since, or from the first: 280,000 a second.
// There are no statistics: let the queue's Sink, or a reader of the stream of events,
// hand the events to a database that counts (see tracking.Journal).
//
// 100 million mails a day are 1,160 a second, and some 5,000 in the busy hours: within
// what was measured here, where the servers had no cores of their own. The jobs of a
// day would take 15 GB in each process, so keep finished ones for an hour there, and
// events for a few days. That is reckoned and not measured; beyond it, split the
// tenants among streams, each with a store and a queue of its own.
package natsqueue
