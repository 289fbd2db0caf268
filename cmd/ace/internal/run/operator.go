package run

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/files"
)

// socketPatience is how long a socket that was left behind may keep a start waiting.
const socketPatience = 2 * time.Second

// operatorPart serves the operator's API on the socket in the data directory. Without a directory, or where the socket cannot be
// had, the server runs without it.
func operatorPart(ctx context.Context, s settings, handler http.Handler, log *slog.Logger) *part {
	if s.stateDir == "" {
		return nil
	}
	path := filepath.Join(s.stateDir, api.SocketName)
	ln, err := listenSocket(ctx, path)
	if err != nil {
		log.Warn("no socket for `ace server status`, `join` and `leave`", "path", path, "error", err)
		return nil
	}
	return &part{ln: ln, handler: handler}
}

// listenSocket opens a socket that only this user may use. It replaces one that nobody answers at.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if err := files.MakeDataDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	found, err := os.Lstat(path)
	switch {
	case err == nil && found.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is a file that is not a socket")
	case err == nil:
		dialing, cancel := context.WithTimeout(ctx, socketPatience)
		defer cancel()
		if conn, err := (&net.Dialer{}).DialContext(dialing, "unix", path); err == nil {
			_ = conn.Close()
			return nil, errors.New("another server answers there")
		}
		if err := os.Remove(path); err != nil {
			return nil, files.WithoutPath(err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, files.WithoutPath(err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, files.WithoutPath(err)
	}
	return ln, nil
}

// operator returns a client of the server that runs with this environment.
func (runner linking) operator(e *serverEnv) (*apiclient.Operator, error) {
	var wrong []string
	s := e.settings("server", defaultServerAddr, &wrong)
	if len(wrong) > 0 {
		return nil, badEnv(wrong)
	}
	if s.stateDir == "" {
		return nil, bridge.E(bridge.Unreachable, bridge.CodeServerNotRunning, "the server has no data directory, and so no socket").
			WithHint("set ACE_DATA_DIR, and start the server with it")
	}
	return apiclient.NewOperator(filepath.Join(s.stateDir, api.SocketName), api.ClientConfig{UserAgent: "ace/" + runner.Version}), nil
}
