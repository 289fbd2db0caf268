package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// connectingTo returns a connect to the world's server by its admin, with the cloud reached at the given URL.
func connectingTo(w *world.World, cloud bridge.ServerURL) *connect.Flow {
	return connect.New(connect.Config{Cloud: cloudAt(w, cloud), Issuer: w.CloudURL, Server: w.URL})
}

func cloudAt(w *world.World, cloud bridge.ServerURL) *apiclient.Cloud {
	token, _, err := w.Cloud.DeveloperToken(w.T.Context(), "admin@acme.test", "acme")
	if err != nil {
		w.T.Error(err)
	}
	return apiclient.NewCloud(cloud, token, api.ClientConfig{})
}

// oneAlive checks that the admin has one connection, that its key works, and that no other key is left once the unused ones
// have expired.
func oneAlive(w *world.World) {
	w.T.Helper()
	connections, err := w.Admin.Connections(w.T.Context())
	if err != nil || len(connections) != 1 {
		w.T.Fatalf("%d connections (%v)", len(connections), err)
	}
	w.Advance(bridge.UnconfirmedLife + time.Minute)
	if status, body := w.Call(w.Again("admin"), connections[0].ID, "/whoami"); status != http.StatusOK {
		w.T.Errorf("its key: %d %s", status, body)
	}
	keys, err := w.Operator.Keys(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	for _, key := range keys {
		if key.Status == "active" && key.KeyID != connections[0].KeyID {
			w.T.Errorf("the key %s lives, and belongs to no connection", key.KeyID)
		}
	}
}

// TestFiftyConnectsAtOnce checks that fifty simultaneous connects all succeed and leave one connection.
func TestFiftyConnectsAtOnce(t *testing.T) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	first := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	ids := make([]string, 50)
	for i := range ids {
		c := connectingTo(w, w.CloudURL)
		c.SetPause(func(ctx context.Context, _ time.Duration) error { // wait at a limit until one connect is through
			select {
			case <-first:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		all.Go(func() {
			connection, err := c.Run(t.Context())
			once.Do(func() { close(first) })
			if err != nil {
				t.Errorf("connect %d: %v (%s)", i, err, bridge.CodeOf(err))
			}
			ids[i] = connection.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("one has the connection %s, another %s", ids[0], id)
		}
	}
	oneAlive(w)
}

// TestALosersCleanUp checks that a connect whose first use fails removes its own key, but nothing of a connect that
// came in between.
func TestALosersCleanUp(t *testing.T) {
	for name, c := range map[string]struct {
		winnerFirst bool // the other connect registers before this one does
		fails       bool
	}{
		"it registers first, and the other one finds its connection": {false, true},
		"the other one registers first":                              {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
			other := func() {
				if _, err := connectingTo(w, w.CloudURL).Run(t.Context()); err != nil {
					t.Errorf("the other connect: %v", err)
				}
			}
			var once sync.Once
			target, _ := url.Parse(string(w.CloudURL))
			proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = target.Host
			}}
			between := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch registers := r.URL.Path == "/v1/connections" && r.Method == http.MethodPost; {
				case registers && c.winnerFirst:
					once.Do(other)
				case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/credential") && !c.winnerFirst:
					once.Do(other)
					http.Error(rw, "no", http.StatusInternalServerError)
					return
				}
				proxy.ServeHTTP(rw, r)
			}))
			defer between.Close()
			_, err := connectingTo(w, bridge.ServerURL(between.URL)).Run(t.Context())
			if (err != nil) != c.fails {
				t.Errorf("the loser: %v", err)
			}
			oneAlive(w)
		})
	}
}

// TestAFailedConnectLeavesNothing checks that a connect whose first use fails, with no other around, leaves nothing.
func TestAFailedConnectLeavesNothing(t *testing.T) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	target, _ := url.Parse(string(w.CloudURL))
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path != "/v1/connections" && r.URL.Path != "/oauth/token" {
			http.Error(rw, "no", http.StatusInternalServerError)
			return
		}
		r.Host = target.Host
		proxy.ServeHTTP(rw, r)
	}))
	defer between.Close()
	if _, err := connectingTo(w, bridge.ServerURL(between.URL)).Run(t.Context()); err == nil {
		t.Error("it connects")
	}
	if connections, err := w.Admin.Connections(t.Context()); err != nil || len(connections) != 0 {
		t.Errorf("%v (%v)", connections, err)
	}
}
