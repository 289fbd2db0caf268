package apiclient

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Operator calls a running server through the socket in its data directory.
type Operator struct {
	Client

	socket string
}

const operatorTimeout = time.Minute // a join or a leave talks to the cloud

// NewOperator returns a client of the server whose socket is at a path.
func NewOperator(socket string, cfg api.ClientConfig) *Operator {
	cfg.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	cfg.Timeout = operatorTimeout
	return &Operator{newClient("http://server.localhost", bridge.Secret{}, "", cfg), socket}
}

// Status returns how the server is. Without a server, the error has the code [bridge.CodeServerNotRunning].
func (o *Operator) Status(ctx context.Context) (out api.ServerStatus, err error) {
	return out, o.ask(ctx, call{method: http.MethodGet, path: api.PathOperator, out: &out})
}

// Log returns the last lines of the server's log.
func (o *Operator) Log(ctx context.Context) (out api.OperatorLog, err error) {
	return out, o.ask(ctx, call{method: http.MethodGet, path: api.PathOperatorLog, out: &out})
}

// Join has the server join an organization.
func (o *Operator) Join(ctx context.Context, token bridge.Secret, name string) (out api.Joined, err error) {
	return out, o.ask(ctx, call{method: http.MethodPost, path: api.PathOperatorIn, body: api.OperatorJoin{Token: token.Disclose(), Name: name}, out: &out})
}

// Leave has the server leave its organization; with force also where the cloud cannot be told.
func (o *Operator) Leave(ctx context.Context, force bool) (out api.Left, err error) {
	query := url.Values{}
	if force {
		query.Set("force", "true")
	}
	return out, o.ask(ctx, call{method: http.MethodPost, path: api.PathOperatorGo, query: query, out: &out})
}

func (o *Operator) ask(ctx context.Context, c call) error {
	err := o.do(ctx, c)
	if bridge.CodeOf(err) != bridge.CodeUnreachable {
		return err
	}
	return bridge.E(bridge.Unreachable, bridge.CodeServerNotRunning, "no server runs here: nothing answers at %s", o.socket).Because(err).
		WithHint("start it with `ace server`, or set ACE_DATA_DIR to the data directory of the server that runs")
}
