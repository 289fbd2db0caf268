package run

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/unit"
	"github.com/acebridge/ace/server"
)

const (
	startPatience = 20 * time.Second
	startEvery    = 200 * time.Millisecond
)

// joinInstalled has the installed server join. Without systemd, the token waits for the server's first start.
func (runner installing) joinInstalled(ctx context.Context, e *serverEnv, u *unit.Unit, token bridge.Secret, started bool) (*api.Joined, error) {
	if !started {
		return nil, u.LeaveJoinToken(token)
	}
	own := apiclient.NewOperator(filepath.Join(u.DataDir, api.SocketName), api.ClientConfig{UserAgent: "ace/" + runner.Version})
	done := runner.Term.Working("joining")
	defer done()
	waiting, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var err error
	for {
		if _, err = own.Status(waiting); bridge.CodeOf(err) != bridge.CodeServerNotRunning {
			break
		}
		select {
		case <-waiting.Done():
			return nil, err
		case <-time.After(startEvery):
		}
	}
	if err != nil {
		return nil, err
	}
	joined, err := own.Join(ctx, token, e.connectionName(""))
	return &joined, err
}

// connectionName is the name of the connection that a join makes, unless another one is asked for. A server that nobody can call by a
// URL is called as its machine is; the cloud names the others.
func (e *serverEnv) connectionName(asked string) string {
	host, err := os.Hostname()
	if asked != "" || e.PublicURL != "" || err != nil || !bridge.PlainText(host, api.MaxServerName) {
		return asked
	}
	return host
}

// leftToken is the join token that `ace server install` has left in a data directory.
type leftToken struct {
	path  string
	token bridge.Secret // zero: there is none
}

func findLeftToken(dataDir string) (leftToken, error) {
	if dataDir == "" {
		return leftToken{}, nil
	}
	l := leftToken{path: filepath.Join(dataDir, unit.JoinTokenFile)}
	text, err := files.ReadSmallFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return leftToken{}, nil
	}
	l.token = bridge.NewSecret(text)
	return l, err
}

// use has a server join with the token. The file goes once the server has joined, or the cloud has said that it never will.
func (l leftToken) use(cfg *server.Config, name string, log *slog.Logger) {
	cfg.Tunnel.Token, cfg.Tunnel.Name = l.token, name
	cfg.Tunnel.Joined = func(api.Joined) { l.remove(log) }
}

// ended takes what the server's work has ended with.
func (l leftToken) ended(err error, log *slog.Logger) error {
	switch bridge.CodeOf(err) {
	case bridge.CodeJoinTokenEnded, bridge.CodeJoinTokenInvalid, bridge.CodeJoinTokenMalformed, bridge.CodeJoinOther:
		if !l.token.IsZero() {
			l.remove(log)
		}
	}
	return err
}

func (l leftToken) remove(log *slog.Logger) {
	if err := os.Remove(l.path); err != nil {
		log.Warn("the used join token cannot be removed", "error", err)
		return
	}
	log.Info("the join token in the data directory was used and is removed")
}
