package pgqueue

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
)

// notice is the flows that have got work that is due.
type notice map[int64]bool

func (n *notice) add(job *queue.Job, flow int64) {
	if job.State != queue.Ready || time.Until(job.Due) > time.Second {
		return
	}
	if *n == nil {
		*n = notice{}
	}
	(*n)[flow] = true
}

// noticeSize is how many flows one notification names: the payload is limited to
// 8,000 bytes.
const noticeSize = 350

// queueNotice notifies those who listen, when the transaction commits.
func (s *shared) queueNotice(b *pgx.Batch, n notice) {
	numbers := make([]string, 0, len(n))
	for flow := range n {
		numbers = append(numbers, strconv.FormatInt(flow, 10))
	}
	for part := range slices.Chunk(numbers, noticeSize) {
		b.Queue("SELECT pg_notify($1, $2)", s.channel(), strings.Join(part, ","))
	}
}

// notices are the flows whose work has been committed and not been told of. The
// server lets one transaction at a time commit that notifies, so they are told of
// together, beside the data.
type notices struct {
	mu     sync.Mutex // guards flows
	flows  notice
	signal chan struct{}
}

func (n *notices) add(flows notice) {
	if len(flows) == 0 {
		return
	}
	n.mu.Lock()
	if n.flows == nil {
		n.flows = notice{}
	}
	maps.Copy(n.flows, flows)
	n.mu.Unlock()
	select {
	case n.signal <- struct{}{}:
	default:
	}
}

func (n *notices) take() notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	flows := n.flows
	n.flows = nil
	return flows
}

// noticePause is the least time between two notifications: far less than a worker
// that is woken may take, and it leaves the server to those who have something to
// store.
const noticePause = 20 * time.Millisecond

// runNotices notifies until ctx ends, and then of what is left.
func (s *Store) runNotices(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.notices.signal:
			s.notify(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(noticePause):
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	s.notify(last)
}

// notify tells of what has been committed. What it should not reach is found within
// a second.
func (s *Store) notify(ctx context.Context) {
	flows := s.notices.take()
	if len(flows) == 0 {
		return
	}
	var b pgx.Batch
	b.Queue(unsynced)
	s.queueNotice(&b, flows)
	ctx, stop := s.bound(ctx)
	defer stop()
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		s.opts.Log.Warn("pgqueue: workers not notified", "err", err)
	}
}
