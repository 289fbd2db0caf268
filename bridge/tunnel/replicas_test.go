package tunnel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/tunnel"
)

// another starts a server process of the rig's connection, and returns what stops it.
func (g *rig) another(instance string, replicas tunnel.Replicas, links int, handler http.HandlerFunc) (d *tunnel.Dialer, stop func()) {
	g.t.Helper()
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(g.cloud.URL), Path: linkPath, KeyID: keyID, Key: g.server,
		Handler: handler, Links: links, Transport: g.cloud.Client().Transport.(*http.Transport), Log: slog.New(slog.DiscardHandler),
		Instance: instance, Replicas: replicas})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = d.Run(ctx, time.Second)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	g.t.Cleanup(stop)
	return d, stop
}

// eventually waits until a condition holds, which the links of the rig decide.
func (g *rig) eventually(what string, holds func() bool) {
	g.t.Helper()
	late := time.After(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			g.t.Fatal("not in time: ", what)
		}
	}
}

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
}

// Server processes of one connection take turns; when one stops, the other has all requests.
func TestReplicas(t *testing.T) {
	g := newRig(t, nil)
	_, stopA := g.another("a", tunnel.ReplicasShare, 2, named("a"))
	g.until(2)
	g.another("b", tunnel.ReplicasShare, 2, named("b"))
	g.until(4)
	servers := g.links.Servers(connection)
	if len(servers) != 2 || servers[0].Instance != "a" || servers[1].Instance != "b" || servers[0].Links != 2 || servers[1].Links != 2 {
		t.Errorf("%+v", servers)
	}
	got := map[string]int{}
	for range 20 {
		got[g.text("GET", "/", nil)]++
	}
	if got["200 a"] != 10 || got["200 b"] != 10 {
		t.Errorf("requests by server: %v", got)
	}
	g.eventually("round trips of both", func() bool {
		for _, s := range g.links.Servers(connection) {
			if s.RoundTrip <= 0 || s.Silent {
				return false
			}
		}
		return true
	})
	stopA()
	g.until(2)
	for range 4 {
		if text := g.text("GET", "/", nil); text != "200 b" {
			t.Error(text)
		}
	}
}

// A server that refuses replicas has the links of its connection for itself, until it stops.
func TestReplicasRefused(t *testing.T) {
	for name, settings := range map[string][2]tunnel.Replicas{
		"the first refuses":  {tunnel.ReplicasRefuse, tunnel.ReplicasShare},
		"the second refuses": {tunnel.ReplicasShare, tunnel.ReplicasRefuse},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			_, stop := g.another("a", settings[0], 2, named("a"))
			g.until(2)
			second, _ := g.another("b", settings[1], 1, named("b"))
			g.eventually("the refusal", func() bool { return bridge.CodeOf(second.States()[0].Cause) == bridge.CodeLinkTaken })
			if text := g.text("GET", "/", nil); text != "200 a" {
				t.Error(text)
			}
			stop()
			g.eventually("the second server", func() bool { return len(g.links.Of(connection)) == 1 && second.States()[0].Up })
		})
	}
}

// A link that a server dials again takes the place of the one that it has lost, though the cloud still has it.
func TestLinkIsReplaced(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	g := newRig(t, nil)
	g.another("a", tunnel.ReplicasShare, 1, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "old")
	})
	g.until(1)
	old := g.links.Of(connection)[0]
	finished := make(chan string, 1)
	go func() {
		resp, err := g.do("GET", "/", nil)
		if err != nil {
			finished <- err.Error()
			return
		}
		body, err := io.ReadAll(resp.Body)
		finished <- fmt.Sprintln(string(body), err, resp.Body.Close())
	}()
	<-arrived
	successor, _ := g.another("a", tunnel.ReplicasShare, 1, named("new"))
	g.eventually("the new link", func() bool {
		all := g.links.Of(connection)
		return len(all) == 1 && all[0] != old && successor.States()[0].Up
	})
	if text := g.text("GET", "/", nil); text != "200 new" {
		t.Error(text)
	}
	close(release)
	if text := <-finished; text != "old <nil> <nil>\n" {
		t.Errorf("a request of the replaced link: %s", text)
	}
}

// A connection has at most sixteen links, of all its servers together.
func TestMostLinks(t *testing.T) {
	g := newRig(t, nil)
	for i := range 4 {
		g.another(fmt.Sprintf("server-%d", i), "", tunnel.MaxLinks, named("x"))
	}
	g.until(16)
	fifth, _ := g.another("server-5", "", 1, named("x"))
	g.eventually("the refusal", func() bool { return bridge.CodeOf(fifth.States()[0].Cause) == bridge.CodeLinkTaken })
}

// A server links to different replicas of a cloud where there are several, and twice to the same where there is one.
func TestCloudReplicas(t *testing.T) {
	for _, c := range []struct {
		name     string
		replicas int
		want     int // different ones
	}{
		{"one", 1, 1},
		{"two", 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, named("x"))
			clouds := make([]*rig, c.replicas)
			addresses := make([]string, c.replicas)
			for i := range clouds {
				clouds[i] = newReplica(t, g, fmt.Sprintf("replica-%d", i))
				addresses[i] = clouds[i].cloud.Listener.Addr().String()
			}
			client := g.cloud.Client().Transport.(*http.Transport).Clone()
			var dials atomic.Int32
			client.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				// Two dials in a row come to the same replica, as they may behind a load balancer.
				return (&net.Dialer{}).DialContext(ctx, network, addresses[int(dials.Add(1)-1)/2%len(addresses)])
			}
			d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: bridge.ServerURL(g.cloud.URL), Path: linkPath, KeyID: keyID, Key: g.server,
				Handler: named("x"), Links: 2, Transport: client, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- d.Run(ctx, time.Second) }()
			defer func() {
				stop()
				if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}()
			g.eventually("two links", func() bool { return d.States()[0].Up && d.States()[1].Up })
			at := map[string]bool{}
			for _, s := range d.States() {
				at[s.Replica] = true
			}
			if len(at) != c.want {
				t.Errorf("%v", at)
			}
			if n := dials.Load(); n > 6 {
				t.Errorf("%d connections for two links", n)
			}
		})
	}
}
