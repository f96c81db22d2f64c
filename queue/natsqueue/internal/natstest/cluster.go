// Package natstest runs clusters of NATS servers in the test's process, on loopback,
// and cuts processes off from them.
package natstest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// Cluster is a cluster of NATS servers in the test's process, on loopback.
type Cluster struct {
	testing.TB
	options []*server.Options
	servers []*server.Server // nil where one is stopped
}

// New starts n servers, whose stores go when the test ends. Tune, if there is any,
// changes the options of each.
func New(t testing.TB, n int, tune ...func(*server.Options)) *Cluster {
	c := &Cluster{TB: t, servers: make([]*server.Server, n)}
	routes := freePorts(t, n)
	dir := t.TempDir()
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 16 << 30,
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "mail", Host: "127.0.0.1", Port: routes[i]}
			for _, port := range routes {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
			}
		}
		for _, f := range tune {
			f(o)
		}
		c.options = append(c.options, o)
	}
	for i := range n {
		c.Start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.Stop(i)
		}
	})
	for i, s := range c.servers {
		c.options[i].Port = s.Addr().(*net.TCPAddr).Port // the same when it starts again
	}
	c.awaitLeader()
	return c
}

// freePorts returns ports that nothing listens on.
func freePorts(t testing.TB, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Start starts a server that is stopped.
func (c *Cluster) Start(i int) {
	c.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	require.NoError(c, err)
	s.Start()
	require.True(c, s.ReadyForConnections(30*time.Second), "server %d", i)
	c.servers[i] = s
}

// Stop stops a server, if it runs.
func (c *Cluster) Stop(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

// awaitLeader waits until the cluster can make streams.
func (c *Cluster) awaitLeader() {
	c.Helper()
	require.Eventually(c, func() bool {
		for _, s := range c.servers {
			if s != nil && (len(c.servers) == 1 || s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(c.servers)) {
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond)
}

// Leader is the number of the server that leads a stream.
func (c *Cluster) Leader(stream string) (leader int) {
	c.Helper()
	require.Eventually(c, func() bool {
		for i, s := range c.servers {
			if s != nil && s.JetStreamIsStreamLeader("$G", stream) {
				leader = i
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond)
	return leader
}

// Connect returns a connection to any server of the cluster.
func (c *Cluster) Connect(options ...nats.Option) jetstream.JetStream {
	c.Helper()
	var urls []string
	for _, o := range c.options {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	options = append(options, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	conn, err := nats.Connect(strings.Join(urls, ","), options...)
	require.NoError(c, err)
	c.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(c, err)
	return js
}

// Remove deletes the streams of a store.
func Remove(t testing.TB, js jetstream.JetStream, stream string) {
	for _, name := range []string{stream, stream + "-snapshot", stream + "-event"} {
		err := js.DeleteStream(context.Background(), name)
		if err != nil {
			require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
		}
	}
}
