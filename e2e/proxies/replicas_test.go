package proxies

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// balancer is what stands in front of the replicas of a cloud. It takes connections to the one that it is told.
type balancer struct {
	url string
	to  atomic.Pointer[string] // HOST:PORT
}

func newBalancer(t *testing.T) *balancer {
	ln, port := world.ListenLoopback(t)
	b := &balancer{url: "http://127.0.0.1:" + port}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.carry(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close() })
	return b
}

func (b *balancer) carry(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	to, err := net.Dial("tcp", *b.to.Load())
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(to, conn)
		_ = to.Close()
	}()
	_, _ = io.Copy(conn, to)
	_ = to.Close()
}

func (b *balancer) point(to *replica) { b.to.Store(&to.addr) }

// replica is one process of a cloud. Its client goes there past the balancer.
type replica struct {
	*process
	addr string
}

// replicated is a cloud of several processes on one PostgreSQL.
type replicated struct {
	*testing.T
	front *balancer
	env   []string
	owner *world.Terminal
	token bridge.Secret
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	r := &replicated{T: t, front: newBalancer(t)}
	c := world.NewTerminal(t)
	r.env = []string{"ACE_PUBLIC_URL=" + r.front.url, "ACE_DATABASE_URL=" + sqldbtest.Postgres(t), "ACE_DRAIN=200ms",
		"ACE_CLOUD_SIGNING_KEY=" + strings.TrimSpace(c.Must("", "cloud", "new-signing-key").Stdout),
		"ACE_DATABASE_ENCRYPTION_KEY=" + strings.TrimSpace(c.Must("", "cloud", "new-encryption-key").Stdout)}
	c.Env = append(append(c.Env, r.env...), "ACE_DATA_DIR="+filepath.Join(c.Home, "cloud"))
	c.Must(world.Password, "cloud", "user", "add", "--email", "ada@acme.test", "--org", "acme", "--role", "owner", "--password-stdin")
	return r
}

// start starts a replica, with its own way for the others to reach it.
func (r *replicated) start() *replica {
	r.Helper()
	ln, port := world.ListenLoopback(r.T)
	_ = ln.Close()
	c := world.NewTerminal(r.T, r.env...)
	c.Env = append(c.Env, "ACE_ADDR=127.0.0.1:0", "ACE_DATA_DIR="+filepath.Join(c.Home, "cloud"),
		"ACE_INTERNAL_ADDR=127.0.0.1:"+port, "ACE_INTERNAL_URL=https://127.0.0.1:"+port)
	p := started(c, "cloud")
	to := &replica{p, strings.TrimPrefix(p.url, "http://")}
	p.url, p.client.Transport = r.front.url, &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, to.addr)
	}}
	return to
}

// signIn has the owner sign in, at the replica that the balancer points to.
func (r *replicated) signIn() {
	r.Helper()
	r.owner = world.NewTerminal(r.T)
	r.owner.Must(world.Password, "login", "--env", r.front.url, "--email", "ada@acme.test", "--password-stdin", "--no-connect")
	session, err := apiclient.NewCloud(bridge.ServerURL(r.front.url), bridge.Secret{}, api.ClientConfig{}).PasswordSession(r.Context(),
		api.SessionRequest{Email: "ada@acme.test", Password: bridge.NewSecret(world.Password).Disclose()})
	if err != nil {
		r.Fatal(err)
	}
	r.token = bridge.NewSecret(session.Token.Reveal())
}

// join has a server without a port join, with an app behind it, and returns its connection.
func (r *replicated) join(name string, app http.Handler) api.Connection {
	r.Helper()
	behind := httptest.NewServer(app)
	r.Cleanup(behind.Close)
	token := strings.TrimSpace(r.owner.Must("", "org", "join-token", "create", "--name", name).Stdout)
	c := world.NewTerminal(r.T, "ACE_ADDR=none", "ACE_UPSTREAM_URL="+behind.URL)
	cmd := c.Command(token+"\n", "server", "join", "-", "--name", name)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r.Failed() {
			r.Log(name, said.String())
		}
	})
	return r.until(name, func(c api.Connection) bool { return c.Status == "online" && c.Link != nil && c.Link.Links == 2 })
}

// until waits until a connection is as wanted, in the eyes of the replica that the balancer points to.
func (r *replicated) until(name string, wanted func(api.Connection) bool) api.Connection {
	r.Helper()
	cloud := apiclient.NewCloud(bridge.ServerURL(r.front.url), r.token, api.ClientConfig{})
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	var all []api.Connection
	var err error
	for late := time.After(world.Patience); ; {
		all, err = cloud.Connections(r.Context())
		for _, c := range all {
			if c.Name == name && wanted(c) {
				return c
			}
		}
		select {
		case <-look.C:
		case <-late:
			r.Fatalf("%s is not as wanted: %+v (%v)", name, all, err)
		}
	}
}

// call calls an app through the relay of a replica.
func (r *replicated) call(p *replica, c api.Connection, path string) (status int, body string) {
	r.Helper()
	resp := p.get("/v1/connections/"+c.ID+"/relay"+path, r.token)
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(raw)
}

// A replica without links calls servers by way of the one that holds them, WebSockets too. When that one is killed, the servers come
// to the other, and no request is answered by the wrong one.
func TestReplicaIsKilled(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	holder, other := r.start(), r.start()
	r.front.point(holder)
	r.signIn()
	var servers [2]api.Connection
	for i := range servers {
		name := fmt.Sprintf("plant-%d", i)
		servers[i] = r.join(name, http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
			if rq.URL.Path == "/socket" {
				world.EchoSocket(w, rq)
				return
			}
			_, _ = io.WriteString(w, name)
		}))
	}
	for _, p := range []*replica{holder, other} {
		for _, s := range servers {
			if status, body := r.call(p, s, "/who"); status != http.StatusOK || body != s.Name {
				t.Errorf("%s at %s: %d %q", s.Name, p.addr, status, body)
			}
		}
	}
	socket := other.get("/v1/connections/"+servers[0].ID+"/relay/socket", r.token, world.Handshake...)
	both, ok := socket.Body.(io.ReadWriter)
	if socket.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("a WebSocket over the hop: %s", socket.Status)
	}
	echo := make([]byte, 5)
	if _, err := io.WriteString(both, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(both, echo); err != nil || string(echo) != "hello" {
		t.Errorf("the WebSocket returns %q (%v)", echo, err)
	}

	holder.kill()
	if err := <-holder.ended; err == nil {
		t.Error("it was killed, and has ended well")
	}
	killed := time.Now()
	r.front.point(other)
	_, _ = io.ReadAll(socket.Body) // it ends
	back := map[string]bool{}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for late := time.After(sqldbtest.Slow(10 * time.Second)); len(back) < len(servers); {
		for _, s := range servers {
			switch status, body := r.call(other, s, "/who"); {
			case status == http.StatusOK && body == s.Name:
				back[s.Name] = true
			case status == http.StatusOK:
				t.Fatalf("%s: another has answered: %q", s.Name, body)
			}
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("after %s only these are back: %v", time.Since(killed), back)
		}
	}
	t.Logf("all are back %s after the end of the replica that held their links", time.Since(killed).Round(time.Millisecond))
	for _, s := range servers {
		r.until(s.Name, func(c api.Connection) bool { return c.Status == "online" && c.Link != nil && c.Link.Links > 0 })
	}
}

// A replica that stops lets a request on a link finish, whether it came here or by the hop, and the servers link to another one.
func TestReplicaStopsWell(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	holder, other := r.start(), r.start()
	r.front.point(holder)
	r.signIn()
	came, release := make(chan struct{}, 2), make(chan struct{})
	plant := r.join("plant", http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		if rq.URL.Path == "/slow" {
			came <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, rq.URL.Path)
	}))
	type answer struct {
		status int
		body   string
	}
	slow := make(chan answer, 1)
	go func() {
		status, body := r.call(holder, plant, "/slow")
		slow <- answer{status, body}
	}()
	<-came
	r.front.point(other)
	holder.signal()
	// The link without a request is closed at once, and its server dials the other replica.
	r.until("plant", func(c api.Connection) bool {
		status, body := r.call(other, c, "/quick")
		return status == http.StatusOK && body == "/quick" && c.Status == "online"
	})
	select {
	case a := <-slow:
		t.Errorf("the slow one has ended too soon: %+v", a)
	case err := <-holder.ended:
		t.Errorf("it has not waited: %v", err)
	default:
	}
	close(release)
	if a := <-slow; a.status != http.StatusOK || a.body != "/slow" {
		t.Errorf("the slow one: %+v", a)
	}
	select {
	case err := <-holder.ended:
		if err != nil {
			t.Errorf("it exits with %v", err)
		}
	case <-time.After(world.Patience):
		t.Error("it does not end")
	}
	if status, body := r.call(other, plant, "/quick"); status != http.StatusOK || body != "/quick" {
		t.Errorf("afterwards: %d %q", status, body)
	}
}
