package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/server"
)

// A server proves to its cloud that it is the one which has joined: also if the answer to that was lost, and the new key has ended since.
func TestJoinProvesTheServer(t *testing.T) {
	cloud := newCloudOfLinks(t)
	database := sqldbtest.SQLite(t)
	run := func() *fixture {
		return start(t, http.HandlerFunc(echoApp), func(cfg *server.Config) {
			ahead := cloud.ahead
			cfg.Trust, cfg.DatabaseURL, cfg.JWTSecret = bridge.Trust{}, database, bridge.NewSecret(strings.Repeat("s", 32))
			cfg.Now = func() time.Time { return time.Now().Add(ahead) }
		})
	}
	join := func(f *fixture) error {
		_, err := f.server.Links().Join(t.Context(), audit.Actor{ID: "operator"}, cloud.token.Text(), "")
		return err
	}
	f := run()
	cloud.lose = true
	for range 2 {
		if err := join(f); err == nil {
			t.Error("the answer is not lost")
		}
	}
	cloud.lose = false
	lost := cloud.key.ID
	f.stop()
	cloud.ahead = 2 * bridge.UnconfirmedLife
	f = run()
	until(t, "a server that forgets its cloud", func() bool {
		_, discovery := f.do("GET", "/.well-known/ace-server", "")
		return strings.Contains(discovery, `"configured":false`)
	})
	if err := join(f); err != nil || cloud.key.ID == lost {
		t.Fatalf("the rerun: %v", err)
	}
	cloud.untilLinks(2)
	if err := join(f); err != nil {
		t.Errorf("a joined server joins again: %v", err)
	}
}
