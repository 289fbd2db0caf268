package links_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
)

// undialed fails the test where a request takes the direct way.
type undialed struct{ t *testing.T }

func (u undialed) RoundTrip(r *http.Request) (*http.Response, error) {
	u.t.Errorf("%s was dialed", r.URL)
	return nil, errors.New("dialed")
}

func (c *cloud) do(r *replica, s *storetest.Joiner, connection, method, path, body string) (string, error) {
	c.T.Helper()
	req, err := http.NewRequestWithContext(c.T.Context(), method, s.URL.Join(path), strings.NewReader(body))
	if err != nil {
		c.T.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	}
	resp, err := r.Way(connection, s.URL, undialed{c.T}).RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s %s", resp.StatusCode, got, resp.Trailer.Get("X-Sum")), err
}

func answering(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Trailer", "X-Sum")
	_, _ = fmt.Fprintf(w, "%s %s %s %s%v", r.Method, r.Host, r.RequestURI, body, len(r.Header["Ace-Hop-From"])+len(r.Header["Ace-Hop-Connection"]))
	w.Header().Set("X-Sum", "7")
}

// Two replicas of a cloud: a request at the one goes over a link that the other holds, until that one is gone.
func TestHop(t *testing.T) {
	each(t, func(t *testing.T, c *cloud) {
		first := c.start(true)
		s, connection := c.join()
		_, stop := c.dial(s, answering, nil)
		c.until("a link", func() bool { return first.Linked(t.Context(), connection) })
		second := c.start(true)
		if _, _, err := first.presence.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.until("presence of the link", func() bool { return second.Linked(t.Context(), connection) })
		host := s.URL.URL().Host
		for _, r := range []*replica{first, second} {
			for _, call := range []struct{ method, path, body string }{{"GET", "/x", ""}, {"POST", "/a%20b/%E2%82%AC;v=1?q=a%2Fb&empty", "hello"}} {
				want := fmt.Sprintf("200 %s %s %s %s0 7", call.method, host, call.path, call.body)
				if got, err := c.do(r, s, connection, call.method, call.path, call.body); err != nil || got != want {
					t.Errorf("%q (%v), want %q", got, err, want)
				}
			}
		}
		if _, err := c.do(second, s, connection+"x", "GET", "/x", ""); bridge.CodeOf(err) != bridge.CodeNoLink {
			t.Errorf("a connection that nobody knows: %v", err)
		}
		t.Run("strangers", func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a stranger's
			defer client.CloseIdleConnections()
			resp, err := client.Get("https://" + first.ln.Addr().String() + "/x")
			if err == nil {
				_ = resp.Body.Close()
				t.Errorf("a stranger is answered: %s", resp.Status)
			}
		})
		stop()
		first.stop()
		c.until("the end of the first", func() bool { return !second.Linked(t.Context(), connection) })
		if _, err := c.do(second, s, connection, "GET", "/x", ""); bridge.CodeOf(err) != bridge.CodeNoLink {
			t.Errorf("without a link: %v", err)
		}
	})
}

// A replica that dies without a word holds nothing once its lease has run out, and its servers come to another one.
func TestReplicaDies(t *testing.T) {
	each(t, func(t *testing.T, c *cloud) {
		dying := c.start(true)
		s, connection := c.join()
		c.dial(s, answering, nil)
		c.until("a link", func() bool { return dying.Linked(t.Context(), connection) })
		c.until("its row", func() bool {
			return len(c.Column("SELECT replica_id FROM link_presence")) == 1
		})
		rows := c.Column("SELECT id FROM replicas")
		living := c.start(true)
		dying.stop()
		// It has left in good order: put back what a dead one leaves behind.
		c.Exec("INSERT INTO replicas (id, url, until) VALUES ($1, $2, $3)", rows[0], "https://127.0.0.1:1", c.Clock().Unix()+9)
		c.Exec("INSERT INTO link_presence (connection_id, replica_id, links, servers) VALUES ($1, $2, 2, 1)", connection, rows[0])
		c.until("links to the other", func() bool {
			got, err := c.do(living, s, connection, "GET", "/x", "")
			return err == nil && strings.HasPrefix(got, "200 ")
		})
		c.Advance(10e9)
		if _, _, err := living.presence.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Advance(10e9)
		if _, _, err := living.presence.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := c.Column("SELECT id FROM replicas WHERE id = '" + rows[0] + "'"); len(left) > 0 {
			t.Error("the dead one is still there")
		}
	})
}

// Without an internal URL, one replica alone holds links.
func TestOneReplicaAlone(t *testing.T) {
	each(t, func(t *testing.T, c *cloud) {
		first := c.start(false)
		s, connection := c.join()
		_, stop := c.dial(s, answering, nil)
		c.until("a link", func() bool { return first.Linked(t.Context(), connection) })
		c.until("its row", func() bool { return len(c.Column("SELECT replica_id FROM link_presence")) == 1 })
		second := c.start(false)
		other, refused := c.join()
		d, _ := c.dial(other, answering, nil)
		c.until("a refusal", func() bool { return bridge.CodeOf(d.States()[0].Cause) == bridge.CodeInternalURL })
		if second.Linked(t.Context(), refused) {
			t.Error("there is a link all the same")
		}
		stop()
		first.stop()
		c.until("a link to the second", func() bool { return second.Linked(t.Context(), refused) })
	})
}

// The links of a connection end with it, and a server that comes back is told that its key is dead.
func TestGoneWithItsConnection(t *testing.T) {
	each(t, func(t *testing.T, c *cloud) {
		r := c.start(false)
		s, connection := c.join()
		told := make(chan bridge.Secret, 100)
		c.dial(s, answering, func(token bridge.Secret) { told <- token })
		c.until("a link", func() bool { return r.Linked(t.Context(), connection) })
		if _, err := c.Connections.DeleteIf(t.Context(), c.ann.As(c.ann.Actor("", "")), connection, connections.AsItWas{}); err != nil {
			t.Fatal(err)
		}
		c.until("the end of the links", func() bool { return !r.Linked(t.Context(), connection) })
		if _, err := bridge.VerifyRevocation(<-told, s.Key.PublicKey()); err != nil {
			t.Errorf("the statement: %v", err)
		}
	})
}

// The key of a link names its successor, and removes its connection; nothing else may.
func TestKeyOfALink(t *testing.T) {
	each(t, func(t *testing.T, c *cloud) {
		r := c.start(false)
		s, connection := c.join()
		d, stop := c.dial(s, answering, nil)
		c.until("a link", func() bool { return r.Linked(t.Context(), connection) })
		public, next, _ := ed25519.GenerateKey(nil)
		body, _ := json.Marshal(api.LinkKey{LinkKey: bridge.LinkKeyText(public)})
		if _, err := d.Call(t.Context(), tunnel.Leave, http.MethodPost, api.PathLinkKeys, body); bridge.CodeOf(err) != bridge.CodeLinkRefused {
			t.Errorf("signed for something else: %v", err)
		}
		if _, err := d.Call(t.Context(), tunnel.Rotate, http.MethodPost, api.PathLinkKeys, []byte(`{"link_key":"short"}`)); bridge.AsError(err).Kind != bridge.Invalid {
			t.Errorf("no key: %v", err)
		}
		if _, err := d.Call(t.Context(), tunnel.Rotate, http.MethodPost, api.PathLinkKeys, body); err != nil {
			t.Fatal(err)
		}
		stop()
		s.Link = next
		d, _ = c.dial(s, answering, nil)
		c.until("a link with the new key", func() bool { return d.States()[0].Up })
		if _, err := d.Call(t.Context(), tunnel.Leave, http.MethodDelete, api.PathLink, nil); err != nil {
			t.Fatal(err)
		}
		if r.Linked(t.Context(), connection) {
			t.Error("it has left, and has a link")
		}
		if left := c.Column("SELECT id FROM connections"); len(left) > 0 {
			t.Errorf("the connection is still there: %v", left)
		}
	})
}

// Servers that come and go a thousand times, under load: no request is answered by the wrong one, and none reaches a server twice.
func TestFlaps(t *testing.T) {
	flaps := 1000
	if testing.Short() {
		flaps = 100
	}
	each(t, func(t *testing.T, c *cloud) {
		r := c.start(false)
		const servers, callers = 4, 4
		var seen sync.Map
		var twice, wrong, fine atomic.Int64
		type server struct {
			*storetest.Joiner
			connection string
			handler    http.HandlerFunc
		}
		all := make([]server, servers)
		for i := range all {
			s, connection := c.join()
			all[i] = server{s, connection, func(w http.ResponseWriter, r *http.Request) {
				id, _ := io.ReadAll(r.Body)
				if len(id) > 0 {
					if _, again := seen.LoadOrStore(string(id), true); again {
						twice.Add(1)
					}
				}
				_, _ = fmt.Fprintf(w, "%s %s", connection, id)
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var load, flapping sync.WaitGroup
		for n := range callers {
			load.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					s := all[rand.N(servers)]
					id := fmt.Sprintf("%d-%d", n, i)
					got, err := c.do(r, s.Joiner, s.connection, "POST", "/x", id)
					switch {
					case err != nil:
					case got != fmt.Sprintf("200 %s %s ", s.connection, id):
						wrong.Add(1)
					default:
						fine.Add(1)
					}
				}
			})
		}
		for _, s := range all {
			flapping.Go(func() {
				for range flaps / servers {
					_, stop := c.dial(s.Joiner, s.handler, nil)
					c.until("a link", func() bool { return r.Linked(ctx, s.connection) })
					if rand.N(2) == 0 {
						r.Cut(s.connection)
					}
					stop()
				}
			})
		}
		flapping.Wait()
		cancel()
		load.Wait()
		if twice.Load() > 0 || wrong.Load() > 0 || fine.Load() == 0 {
			t.Errorf("%d requests reached a server twice, %d were answered by the wrong one, %d were fine", twice.Load(), wrong.Load(), fine.Load())
		}
	})
}
