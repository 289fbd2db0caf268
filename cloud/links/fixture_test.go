package links_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/presence"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// templates is the database that sqldbtest copies for each test.
var templates = goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")

const within = 30 * time.Second

// cloud is one or more replicas of a cloud behind one URL. Who dials it gets the one that answers.
type cloud struct {
	*storetest.Fixture
	ann     accounts.Principal
	answers atomic.Pointer[replica]
}

// replica is a replica of the cloud.
type replica struct {
	*links.Links
	presence *presence.Store
	echo     *echo.Echo
	ln       net.Listener
	stop     func() // as a process stops
	mu       sync.Mutex
	news     map[links.News]int
}

func each(t *testing.T, test func(t *testing.T, c *cloud)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		before := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, before, templates) })
		c := &cloud{}
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.answers.Load().echo.ServeHTTP(w, r) }))
		c.Fixture = storetest.New(t, dsn, bridge.ServerURL(front.URL))
		t.Cleanup(front.Close)
		c.ann = c.Person("ann@acme.test", "acme", bridge.RoleAdmin)
		test(t, c)
	})
}

// start starts a replica, which answers from now on. If internal is true, the others reach it.
func (c *cloud) start(internal bool) *replica {
	c.T.Helper()
	r := &replica{news: map[links.News]int{}}
	var reach links.Internal
	if internal {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			c.T.Fatal(err)
		}
		r.ln, reach = ln, links.Internal{Listener: ln, URL: bridge.ServerURL("https://" + ln.Addr().String())}
	}
	var err error
	if r.presence, err = presence.New(c.DB, reach.URL); err != nil {
		c.T.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r.Links, err = links.New(links.Config{PublicURL: c.URL, Root: c.Root, Lookup: c.Joins.Lookup, Used: c.Joins.KeyUsed, Rotate: c.Joins.RotateKey,
		Leave: c.Joins.Leave, Revocation: c.Upkeep.PendingRevocation, Presence: r.presence, Internal: reach, Now: time.Now,
		News: func(_ context.Context, _ string, news links.News) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.news[news]++
			return nil
		}}, log)
	if err != nil {
		c.T.Fatal(err)
	}
	r.echo = api.NewEcho(log, api.Web{})
	r.Mount(r.echo)
	if _, _, err := r.presence.Renew(c.T.Context()); err != nil { // as Run does at once
		c.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.T.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	r.stop = sync.OnceFunc(func() {
		r.Close()
		cancel()
		<-done
	})
	c.T.Cleanup(r.stop)
	c.answers.Store(r)
	return r
}

// join has a server join, which is not linked yet.
func (c *cloud) join() (*storetest.Joiner, string) {
	c.T.Helper()
	s := c.NewJoiner()
	return s, s.Join(c.JoinToken(c.ann, api.JoinTokenRequest{}).Token.Secret).ID
}

// dial keeps a server's links up, until the test ends or stop is called.
func (c *cloud) dial(s *storetest.Joiner, h http.HandlerFunc, statement func(bridge.Secret)) (d *tunnel.Dialer, stop func()) {
	c.T.Helper()
	transport := &http.Transport{}
	d, err := tunnel.NewDialer(tunnel.DialerConfig{Cloud: c.URL, Path: api.PathLink, KeyID: s.Key.ID.String(), Key: s.Link, Handler: h,
		Transport: transport, Statement: statement, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.T.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx, time.Millisecond)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	c.T.Cleanup(stop)
	return d, stop
}

// until waits for something.
func (c *cloud) until(what string, holds func() bool) {
	c.T.Helper()
	for late := time.After(within); !holds(); {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			c.T.Fatalf("in vain waited for: %s", what)
		}
	}
}
