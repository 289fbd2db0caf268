package run

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/unit"
	"github.com/acebridge/ace/server"
)

// A join token that was left for the first start goes once the server has joined, and when the cloud refuses it for good; it stays
// while another start may use it.
func TestLeftJoinToken(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	refused := func(code bridge.Code) func(leftToken, *server.Config) {
		return func(l leftToken, _ *server.Config) {
			err := bridge.E(bridge.Unauthenticated, code, "refused")
			if got := l.ended(err, log); !errors.Is(got, error(err)) {
				t.Errorf("%v becomes %v", err, got)
			}
		}
	}
	for name, c := range map[string]struct {
		happens func(leftToken, *server.Config)
		stays   bool
	}{
		"joined":      {func(_ leftToken, cfg *server.Config) { cfg.Tunnel.Joined(api.Joined{}) }, false},
		"ended":       {refused(bridge.CodeJoinTokenEnded), false},
		"unknown":     {refused(bridge.CodeJoinTokenInvalid), false},
		"malformed":   {refused(bridge.CodeJoinTokenMalformed), false},
		"another's":   {refused(bridge.CodeJoinOther), false},
		"not reached": {refused(bridge.CodeUnreachable), true},
		"stopped":     {func(l leftToken, _ *server.Config) { _ = l.ended(nil, log) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, unit.JoinTokenFile)
			if err := os.WriteFile(path, []byte("ace_jt1.x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := findLeftToken(dir)
			if err != nil || l.token.Reveal() != "ace_jt1.x" {
				t.Fatalf("%q %v", l.token.Reveal(), err)
			}
			var cfg server.Config
			l.use(&cfg, "machine", log)
			if !cfg.Tunnel.Token.Equal(l.token) || cfg.Tunnel.Name != "machine" || cfg.Tunnel.JoinNow {
				t.Errorf("%+v", cfg.Tunnel)
			}
			c.happens(l, &cfg)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) == c.stays {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	for _, dir := range []string{"", t.TempDir()} {
		if l, err := findLeftToken(dir); !l.token.IsZero() || err != nil {
			t.Errorf("%q: %+v %v", dir, l, err)
		}
	}
}
