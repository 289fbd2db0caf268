package cloud_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/bridge/tunnel"
	"github.com/acebridge/ace/cloud/connections"
)

// What a connection over a link is said to be: online once a probe came back through the link, and otherwise why not. Disconnecting
// it revokes its key over the link, which is cut then.
func TestStatusOverALink(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		background, stopCloud := context.WithCancel(context.WithoutCancel(t.Context()))
		ran := make(chan struct{})
		go func() { defer close(ran); _ = f.cloud.Run(background) }()
		t.Cleanup(func() { stopCloud(); <-ran })

		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		key := bridge.NewKey(bridge.KindSK, uuid.New())
		text := key.Text().Disclose()
		connection, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: "https://behind-nat.invalid", APIKey: &text})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.cloud.Registry().DB.ExecContext(t.Context(), // as an exchange does
			"INSERT INTO link_keys (connection_id, public_key, created_at, used_at, expires_at) VALUES ($1, $2, 1, 0, 0)", connection.ID, bridge.LinkKeyText(public)); err != nil {
			t.Fatal(err)
		}
		var app atomic.Pointer[api.AppState]
		var refuses, silent atomic.Bool
		var lose, probes atomic.Int32 // probes to lose; that have come
		revoked := make(chan string, 10)
		served := tunnel.DialerConfig{Cloud: bridge.ServerURL(f.url), Path: api.PathLink, KeyID: key.ID.String(), Key: private,
			Log: slog.New(slog.DiscardHandler), Transport: &http.Transport{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ace/v1/me" {
					probes.Add(1)
				}
				switch {
				case silent.Load():
					<-r.Context().Done()
				case lose.Load() > 0 && lose.Add(-1) >= 0:
					panic(http.ErrAbortHandler)
				case r.Method == http.MethodDelete:
					revoked <- strings.TrimPrefix(r.URL.Path, "/ace/v1/api-keys/")
				case refuses.Load():
					w.WriteHeader(http.StatusUnauthorized)
				default:
					_ = json.NewEncoder(w).Encode(api.Identity{Type: "api_key", KeyID: key.ID.String(), App: app.Load()})
				}
			})}
		var dialer *tunnel.Dialer
		run := func() (stop func()) {
			t.Helper()
			if dialer, err = tunnel.NewDialer(served); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			done := make(chan struct{})
			go func() { defer close(done); _ = dialer.Run(ctx, time.Millisecond) }()
			return func() { cancel(); <-done }
		}
		stopServer := run()
		t.Cleanup(func() { stopServer() })

		until := func(status string, code bridge.Code) (c api.Connection) {
			t.Helper()
			for late := time.After(30 * time.Second); ; {
				if c, err = f.client().Connection(t.Context(), connection.ID); err == nil && c.Status == status && c.CauseCode == code {
					return c
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-late:
					t.Fatalf("it is not %s %s: %+v (%v)", status, code, c, err)
				}
			}
		}
		c := until(connections.StatusOnline, "")
		for late := time.Now().Add(30 * time.Second); c.Way != api.WayTunnel && time.Now().Before(late); { // what is held is noted a moment later, perhaps
			c = until(connections.StatusOnline, "")
		}
		if c.Way != api.WayTunnel || c.Link == nil || c.Link.Links < 1 || c.Link.Servers != 1 || c.Link.Since == nil || c.Link.RoundTrip == nil || c.Link.Reconnects != 0 {
			t.Errorf("the link: %s %+v", c.Way, c.Link)
		}
		app.Store(&api.AppState{State: api.AppDown, Cause: "connection\nrefused"})
		f.advance(11 * time.Second) // a probe is due
		if c := until(connections.StatusOffline, bridge.CodeAppDown); !strings.Contains(c.Cause, "connection refused") {
			t.Errorf("the cause: %q", c.Cause)
		}
		app.Store(&api.AppState{State: api.AppUp})
		refuses.Store(true)
		f.advance(11 * time.Second)
		until(connections.StatusUnauthorized, bridge.CodeKeyRefused)
		refuses.Store(false)
		f.advance(11 * time.Second)
		until(connections.StatusOnline, "")

		count := func(query string) (n int64) {
			t.Helper()
			if err := f.cloud.Registry().DB.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before, changes := probes.Load(), count("SELECT seq FROM change_counters")
		lose.Store(1) // one lost probe changes nothing: it is asked again at once
		f.advance(11 * time.Second)
		for late := time.After(30 * time.Second); count("SELECT probed_at FROM connections") != f.clock().Unix(); {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-late:
				t.Fatal("it is not probed")
			}
		}
		until(connections.StatusOnline, "")
		if n := count("SELECT seq FROM change_counters"); probes.Load() < before+2 || n != changes {
			t.Errorf("after a lost probe there were %d probes and %d changes", probes.Load()-before, n-changes)
		}
		silent.Store(true) // it takes links, and answers nothing
		f.advance(11 * time.Second)
		until(connections.StatusOffline, bridge.CodeLinkSilent)
		silent.Store(false)
		f.advance(11 * time.Second)
		until(connections.StatusOnline, "")
		stopServer()
		until(connections.StatusOffline, "") // its URL could be dialed, so that is the way now, and its name is not found
		if n := len(f.auditOf("link.down")); n != 1 {
			t.Errorf("that the link is down was audited %d times", n)
		}
		stopServer = run()
		if c := until(connections.StatusOnline, ""); c.Link == nil || c.Link.Reconnects < 1 {
			t.Errorf("after the links have come back: %+v", c.Link)
		}
		if up, down := len(f.auditOf("link.up")), len(f.auditOf("link.down")); up != 2 || down != 1 {
			t.Errorf("audited: %d up, %d down", up, down)
		}

		removed, err := f.client().Delete(t.Context(), connection.ID)
		if err != nil || removed.Revocation == nil || removed.Revocation.Status != "delivered" {
			t.Fatalf("%+v (%v)", removed.Revocation, err)
		}
		if id := <-revoked; id != key.ID.String() {
			t.Errorf("the server was told of the end of %s", id)
		}
		for late := time.After(30 * time.Second); bridge.CodeOf(dialer.States()[0].Cause) != bridge.CodeLinkRefused; {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-late:
				t.Fatalf("the link is not cut: %+v", dialer.States())
			}
		}
	})
}
