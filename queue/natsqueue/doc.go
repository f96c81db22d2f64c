// Package natsqueue keeps a queue and its suppression list in a stream of NATS
// JetStream, for hosts that run many processes. Every process opens the store, and
// any number of them run the queue: a job is claimed by one of them.
package natsqueue
