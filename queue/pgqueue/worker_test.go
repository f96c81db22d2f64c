package pgqueue_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/workertest"
	"github.com/franqueo/franqueo/queue/pgqueue"
)

// rest leaves a machine with two cores, which has more to do, the time to send as much
// as three workers queue.
const rest = 30 * time.Millisecond

// pooled is a store that closes its pool.
type pooled struct {
	*pgqueue.Store
	pool *pgxpool.Pool
}

func (p *pooled) Close() error {
	defer p.pool.Close()
	return p.Store.Close()
}

// openAt opens the store of a worker: where is a schema and a database.
func openAt(ctx context.Context, where string) (queue.Store, error) {
	schema, address, _ := strings.Cut(where, " ")
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, err
	}
	store, err := pgqueue.Open(ctx, pool, &pgqueue.Options{Schema: schema})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &pooled{store, pool}, nil
}

// TestKillWorkers kills two of three workers, again and again, while all of them queue
// and send mail. The others go on, and new ones take their places.
func TestKillWorkers(t *testing.T) {
	t.Parallel()
	address := peer(t)
	where := newSchema(t, newPool(t, address)) + " " + address
	crew := workertest.New(t, rest)
	workers := []*workertest.Worker{crew.Hire(where), crew.Hire(where), crew.Hire(where)}
	for range 3 {
		crew.All(20)
		for range 2 {
			workers[0].Kill()
			crew.Arrivals(20)
			workers = workers[1:]
		}
		workers = append(workers, crew.Hire(where), crew.Hire(where))
	}
	crew.EndLeases(openAt, where)
	crew.Hire(where)
	crew.Finish()
}

// TestCutOff cuts workers off from the server.
func TestCutOff(t *testing.T) {
	t.Parallel()
	address := peer(t)
	schema := newSchema(t, newPool(t, address))
	crew := workertest.New(t, rest)
	var workers []*workertest.Worker
	var ways [][]*workertest.Proxy
	for range 3 {
		proxy, through := newProxy(t, address)
		workers, ways = append(workers, crew.Hire(schema+" "+through)), append(ways, []*workertest.Proxy{proxy})
	}
	crew.CutOff(workers, ways)
	crew.EndLeases(openAt, schema+" "+address)
	crew.Hire(schema + " " + address)
	crew.Finish()
}

// newProxy returns a proxy of the server, and its address.
func newProxy(t *testing.T, address string) (p *workertest.Proxy, through string) {
	config, err := pgconn.ParseConfig(address)
	require.NoError(t, err)
	network, host := pgconn.NetworkAddress(config.Host, config.Port)
	p = workertest.NewProxy(t, network, host)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: p.Addr(), Path: config.Database,
		RawQuery: "connect_timeout=5",
	}
	return p, u.String()
}
