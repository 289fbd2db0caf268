package cloud_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// told is one event of a stream.
type told struct{ name, id, data string }

// stream is an open stream of live status. Its channel is closed when the stream has ended.
type stream struct {
	t      *testing.T
	resp   *http.Response
	events chan told
}

// watch opens a stream.
func (f *fixture) watch(headers ...string) stream {
	f.t.Helper()
	r := f.request("GET", "/v1/connections/events", nil)
	r.Header.Del("Authorization")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return read(f.t, f.send(r))
}

// read reads a stream as a browser does.
func read(t *testing.T, resp *http.Response) stream {
	t.Helper()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	s := stream{t, resp, make(chan told, 1000)}
	go func() {
		defer close(s.events)
		var e told
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data += value
			case "":
				if e.data != "" {
					s.events <- e
				}
				e = told{id: e.id}
			}
		}
	}()
	return s
}

const patience = 20 * time.Second // of a test that would fail

// next waits for the next event.
func (s stream) next() told {
	s.t.Helper()
	select {
	case e, open := <-s.events:
		if !open {
			s.t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(patience):
		s.t.Fatal("nothing is told")
	}
	return told{}
}

// until waits for an event of a connection that has something in it.
func (s stream) until(name, id, text string) told {
	s.t.Helper()
	for {
		if e := s.next(); e.name == name && strings.Contains(e.data, `"`+id+`"`) && strings.Contains(e.data, text) {
			return e
		}
	}
}

// ends waits for the end, and returns what was told until then.
func (s stream) ends() (before []told) {
	s.t.Helper()
	for late := time.After(patience); ; {
		select {
		case e, open := <-s.events:
			if !open {
				return before
			}
			before = append(before, e)
		case <-late:
			s.t.Fatal("the stream does not end")
		}
	}
}

// Changes to a connection are sent to those who see it, and to nobody else.
func TestLiveStatus(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		defer f.run()()
		var broken atomic.Bool
		_, connection := f.behind(func(w http.ResponseWriter, _ *http.Request) {
			if broken.Load() {
				w.WriteHeader(http.StatusBadGateway)
			}
		})
		member := f.memberToken("max@acme.test", bridge.RoleMember)
		stranger := f.memberToken("eve@acme.test", bridge.RoleViewer)
		id := connection.ID
		mine, theirs, cookie := f.watch("Authorization", f.bearer()), f.watch("Authorization", "Bearer "+member.Reveal()), f.watch("Cookie", f.signIn())
		f.share(id, connections.Organization)
		for _, s := range []stream{mine, theirs, cookie} {
			s.until("status", id, `"status":"`)
		}
		broken.Store(true)
		if _, err := f.client().Check(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for _, s := range []stream{mine, theirs, cookie} {
			e := s.until("status", id, `"offline"`)
			var event api.ConnectionEvent
			if err := json.Unmarshal([]byte(e.data), &event); err != nil || event.Cause != "the server answers with an error: 502 Bad Gateway" || event.LatencyMS == nil {
				t.Errorf("%s (%v)", e.data, err)
			}
			if strings.Contains(e.data, plainKey) {
				t.Errorf("the key is told: %s", e.data)
			}
		}
		f.share(id, connections.Private)
		theirs.until("removed", id, "")
		if e := mine.next(); e.name != "status" {
			t.Errorf("the owner is told %+v", e)
		}
		// A private connection is sent to nobody else: their next event is about another one.
		broken.Store(false)
		if _, err := f.client().Check(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		mine.until("status", id, `"online"`)
		own, err := f.as(member).Register(t.Context(), api.RegisterRequest{ServerURL: "https://ace.max.test", APIKey: new(bridge.NewSecret("a-key").Disclose())})
		if err != nil {
			t.Fatal(err)
		}
		if e := theirs.next(); !strings.Contains(e.data, own.ID) {
			t.Errorf("a member is told %+v", e)
		}
		if _, err := f.as(member).Delete(t.Context(), own.ID); err != nil {
			t.Fatal(err)
		}
		for _, s := range []stream{theirs, mine} { // the admin may know of it, since the audit log shows it
			s.until("removed", own.ID, "")
		}
		if e := f.watch("Authorization", "Bearer "+stranger.Reveal()).next(); e.name != "removed" || !strings.Contains(e.data, id) {
			t.Errorf("a viewer who may have seen it is told %+v", e)
		}
	})
}

// A limit of none takes a connection away from one member, and lifting it gives the connection back; both are sent.
func TestLiveStatusOfExceptions(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		defer f.run()()
		_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
		f.share(connection.ID, connections.Organization)
		max, token := f.join("max@acme.test", bridge.RoleMember)
		s, other := f.watch("Authorization", "Bearer "+token.Reveal()), f.watch("Authorization", "Bearer "+f.memberToken("eve@acme.test", bridge.RoleMember).Reveal())
		s.until("status", connection.ID, "")
		if _, err := f.client().LimitMember(t.Context(), connection.ID, max, api.MemberLimit{Access: connections.AccessNone}); err != nil {
			t.Fatal(err)
		}
		s.until("removed", connection.ID, "")
		if _, err := f.client().UnlimitMember(t.Context(), connection.ID, max); err != nil {
			t.Fatal(err)
		}
		last := s.until("status", connection.ID, "")
		for e := other.next(); e.id != last.id; e = other.next() {
			if e.name != "status" {
				t.Errorf("another member is told %+v", e)
			}
		}
	})
}

// A stream ends when its caller's session, membership or role does, without a "removed" event.
func TestLiveStatusEnds(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		defer f.run()()
		_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
		f.share(connection.ID, connections.Organization)
		ctx := t.Context()
		ends := map[string]func(id string, token bridge.Secret) error{
			"signed out": func(_ string, token bridge.Secret) error { return f.as(token).RevokeSession(ctx, token) },
			"removed":    func(id string, _ bridge.Secret) error { _, err := f.client().RemoveMember(ctx, "acme", id); return err },
			"another role": func(id string, _ bridge.Secret) error {
				_, err := f.client().ChangeRole(ctx, "acme", id, "viewer")
				return err
			},
			"token too old": func(string, bridge.Secret) error { f.advance(accounts.DeveloperLife); return nil },
		}
		for _, name := range []string{"signed out", "removed", "another role", "token too old"} {
			id, token := f.join(strings.ReplaceAll(name, " ", "-")+"@acme.test", bridge.RoleMember)
			s := f.watch("Authorization", "Bearer "+token.Reveal())
			s.until("status", connection.ID, "")
			if err := ends[name](id, token); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if before := s.ends(); slices.ContainsFunc(before, func(e told) bool { return e.name == "removed" }) {
				t.Errorf("%s: %v", name, before)
			}
		}
	})
}

func TestLiveStatusOfKeys(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	defer f.run()()
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	key := f.key(f.client(), api.CreateKeyRequest{Name: "watcher", Scopes: []string{"connection:read"}})
	s := f.watch("X-Api-Key", key.Key.Reveal())
	f.share(connection.ID, connections.Organization)
	s.until("status", connection.ID, "")
	if _, err := f.client().RevokeKey(t.Context(), key.KeyID); err != nil {
		t.Fatal(err)
	}
	s.ends()
	none := f.key(f.client(), api.CreateKeyRequest{Name: "no watcher", Scopes: []string{"member:read"}})
	if resp, body := f.do("GET", "/v1/connections/events", "", "X-Api-Key", none.Key.Reveal()); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := f.do("GET", "/v1/connections/events", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// A stream resumes after the last event ID; one that it cannot read counts as none.
func TestLiveStatusGoesOn(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	_, first := f.behind(func(http.ResponseWriter, *http.Request) {})
	_, second := f.behind(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []api.Connection{first, second} { // so that no probe finds anything new
		if _, err := f.client().Check(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	defer f.run()()
	s := f.watch("Authorization", f.bearer())
	last := s.until("status", second.ID, "")
	rename := func(id, name string) {
		if _, err := f.client().Patch(t.Context(), id, api.ConnectionPatch{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	rename(first.ID, "another name")
	after := s.until("status", first.ID, "")
	_ = s.resp.Body.Close()
	if again := f.watch("Authorization", f.bearer(), "Last-Event-ID", last.id).next(); again != after {
		t.Errorf("it goes on with %+v, not %+v", again, after)
	}
	f.advance(2 * time.Minute) // so that nothing is told that was before
	org, _, _ := strings.Cut(last.id, ".")
	for _, id := range []string{"", after.id, org + ".999999999999", org + ".-1", org + ".1e3", org, "7", "another." + last.id, strings.Repeat("9", 200), "\tx"} {
		s := f.watch("Authorization", f.bearer(), "Last-Event-ID", id)
		rename(second.ID, fmt.Sprintf("a name after %d", len(id)))
		if e := s.next(); !strings.Contains(e.data, second.ID) {
			t.Errorf("after %q it begins with %+v", id, e)
		}
		_ = s.resp.Body.Close()
	}
}

// A change made by another process reaches the streams of this one.
func TestLiveStatusFromAnotherProcess(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		defer f.run()()
		_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
		s := f.watch("Authorization", f.bearer())
		before := s.until("status", connection.ID, "")
		other, db, err := cloud.OpenRegistry(t.Context(), f.cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		me, err := other.Accounts.UserByEmail(t.Context(), "ann@acme.test")
		if err != nil {
			t.Fatal(err)
		}
		session, err := other.Sessions.OpenSession(t.Context(), me.ID, "acme", accounts.MethodDevice, audit.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Connections.Patch(t.Context(), session.Principal.As(audit.Actor{}), connection.ID, api.ConnectionPatch{Name: new("from elsewhere")}); err != nil {
			t.Fatal(err)
		}
		for s.until("status", connection.ID, "").id == before.id {
			continue
		}
	})
}

// Streams are bounded for each member, and end with the cloud.
func TestLiveStatusIsBounded(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	stop := f.run()
	var open []stream
	for range 16 {
		open = append(open, f.watch("Authorization", f.bearer()))
	}
	resp, body := f.do("GET", "/v1/connections/events", "", "Authorization", f.bearer())
	if resp.StatusCode != http.StatusTooManyRequests || codeOf(t, body) != "streams_busy" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the 17th: %d %s", resp.StatusCode, body)
	}
	other := f.watch("Authorization", "Bearer "+f.memberToken("max@acme.test", bridge.RoleMember).Reveal())
	_ = open[0].resp.Body.Close()
	for {
		resp := f.send(f.request("GET", "/v1/connections/events", nil))
		if resp.StatusCode == http.StatusOK {
			break // once the cloud has seen that the other has gone
		}
		_ = resp.Body.Close()
	}
	stop()
	other.ends()
	for _, s := range open[1:] {
		s.ends()
	}
}

// A stream works over HTTP/2, and ends when the server is asked to stop.
func TestLiveStatusOverHTTP2(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	defer f.run()()
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = strings.TrimPrefix(f.url, "http://")
		f.cloud.Handler().ServeHTTP(w, r)
	}))
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	_, connection := f.behind(func(http.ResponseWriter, *http.Request) {})
	r := f.request("GET", "/v1/connections/events", nil)
	r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(ts.URL, "https://")
	client := ts.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: client.Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 {
		t.Fatalf("it is %s", resp.Proto)
	}
	read(t, resp).until("status", connection.ID, "")
}

// A server that is asked to stop ends its streams properly, and does not have to cut them.
func TestLiveStatusEndsWithTheServer(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	defer f.run()()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		stopped <- serving.Serve(ctx, ln, f.cloud.Handler(), serving.Config{Log: slog.New(slog.DiscardHandler)})
	}()
	r := f.request("GET", "/v1/connections/events", nil)
	r.Host, r.URL.Host = r.URL.Host, ln.Addr().String()
	resp := f.send(r)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	stop()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(body), "retry: ") {
		t.Errorf("the stream was cut: %q %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Many changes at once, more than a page of them, reach many streams: the last event of each connection is its current state.
func TestLiveStatusOfManyAtATime(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		defer f.run()()
		var ids []string
		for i := range 150 {
			c, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: fmt.Sprintf("https://s%d.test", i), APIKey: new(bridge.NewSecret("a-key").Disclose())})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.ID)
		}
		var streams []stream
		for range 3 {
			streams = append(streams, f.watch("Authorization", f.bearer()), f.watch("Cookie", f.signIn()))
		}
		var wg sync.WaitGroup
		for w := range 5 {
			wg.Go(func() {
				for i := w; i < len(ids); i += 5 {
					if _, err := f.client().Patch(t.Context(), ids[i], api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if _, err := f.client().Delete(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		for _, s := range streams {
			seen := map[string]bool{}
			for {
				e := s.next()
				if e.name == "removed" && strings.Contains(e.data, ids[0]) {
					break
				}
				var event api.ConnectionEvent
				if err := json.Unmarshal([]byte(e.data), &event); err != nil {
					t.Fatal(err)
				}
				seen[event.ID] = true
			}
			if len(seen) < len(ids)-1 {
				t.Errorf("only %d of %d are told", len(seen), len(ids)-1)
			}
		}
	})
}
