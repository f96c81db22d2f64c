package natstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue/internal/workertest"
)

// variable has the test binary be a server.
const variable = "FRANQUEO_NATS_SERVER"

// order is what the variable tells a server, as JSON.
type order struct {
	Name   string
	Dir    string   // that it stores in
	Routes []string // URLs of the others
}

// Main is for TestMain, before all else: if this process is one of [Processes], it
// serves until standard input ends, and exits.
func Main() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	s, err := server.NewServer(o.options())
	if err != nil {
		panic(err)
	}
	s.Start()
	for !s.ReadyForConnections(time.Second) {
	}
	fmt.Println(s.Addr(), s.ClusterAddr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	os.Exit(0)
}

// options have others reach the server by its proxies alone: it tells nobody its
// addresses.
func (o *order) options() *server.Options {
	opts := &server.Options{
		ServerName: o.Name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: o.Dir, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 16 << 30,
		Cluster: server.ClusterOpts{
			Name: "mail", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoAdvertise: true, Advertise: "127.0.0.1:1",
		},
	}
	for _, route := range o.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: route})
	}
	return opts
}

// Processes is a cluster of three NATS servers, each a process of its own, that reach
// each other and are reached by proxies alone.
type Processes struct {
	*testing.T
	orders  [size]order
	servers [size]*workertest.Process
	clients [size]*workertest.Proxy
	routes  [size][size]*workertest.Proxy // from one to another
}

const size = 3

// NewProcesses starts a cluster, which ends with the test.
func NewProcesses(t *testing.T) *Processes {
	p := &Processes{T: t}
	dir := t.TempDir()
	for i := range size {
		p.clients[i] = workertest.NewProxy(t, "tcp", "")
		p.orders[i] = order{Name: fmt.Sprintf("n%d", i), Dir: filepath.Join(dir, fmt.Sprint(i))}
		for j := range size {
			if j != i {
				p.routes[i][j] = workertest.NewProxy(t, "tcp", "")
				p.orders[i].Routes = append(p.orders[i].Routes, p.routes[i][j].Addr())
			}
		}
	}
	for i := range size {
		p.Start(i)
	}
	return p
}

// Start starts a server that does not run, and waits until clients can connect to it.
func (p *Processes) Start(i int) {
	p.Helper()
	text, err := json.Marshal(p.orders[i])
	require.NoError(p, err)
	ready := make(chan string, 1)
	p.servers[i] = workertest.Start(p, variable, string(text), func(line string) { ready <- line })
	select {
	case line := <-ready:
		client, route, _ := strings.Cut(line, " ")
		p.clients[i].Aim("tcp", client)
		for j := range size {
			if j != i {
				p.routes[j][i].Aim("tcp", route)
			}
		}
	case <-p.servers[i].Ended():
		require.NoError(p, p.servers[i].Wait(), "server %d", i)
	}
}

// Kill ends a server at once.
func (p *Processes) Kill(i int) { p.servers[i].Kill() }

// CutOff has a server reach nobody, and nobody reach it, without a word, until it is
// healed.
func (p *Processes) CutOff(i int) { p.each(i, (*workertest.Proxy).Silence) }

// Heal ends a cut.
func (p *Processes) Heal(i int) { p.each(i, (*workertest.Proxy).Heal) }

// each does something to the proxies of all connections of a server.
func (p *Processes) each(i int, do func(*workertest.Proxy)) {
	do(p.clients[i])
	for j := range size {
		if j != i {
			do(p.routes[i][j])
			do(p.routes[j][i])
		}
	}
}

// URL is that of the cluster, for a client that connects to this server if it can.
func (p *Processes) URL(first int) string { return urlOf(p.clients[:], first) }

func urlOf(servers []*workertest.Proxy, first int) string {
	var urls []string
	for i := range servers {
		urls = append(urls, "nats://"+servers[(first+i)%len(servers)].Addr())
	}
	return strings.Join(urls, ",")
}

// Way returns proxies to all servers for one client, and their URL.
func (p *Processes) Way() (way []*workertest.Proxy, through string) {
	for _, server := range p.clients {
		way = append(way, workertest.NewProxy(p, "tcp", server.Addr()))
	}
	return way, urlOf(way, 0)
}

// Leader is the number of the server that leads a stream.
func (p *Processes) Leader(stream string) (leader int) {
	p.Helper()
	conn, err := nats.Connect(p.URL(0), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	require.NoError(p, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(p, err)
	require.Eventually(p, func() bool {
		found, err := js.Stream(p.Context(), stream)
		if err != nil || found.CachedInfo().Cluster == nil {
			return false
		}
		n, err := fmt.Sscanf(found.CachedInfo().Cluster.Leader, "n%d", &leader)
		return n == 1 && err == nil
	}, 2*time.Minute, 20*time.Millisecond)
	return leader
}
