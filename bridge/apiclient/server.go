package apiclient

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// Server calls a self-hosted server with one credential.
type Server struct{ Client }

// NewServer returns a client of the server at base.
//
// bearer is an API key, an access token or a user token of the server. A zero bearer will do for discovery.
func NewServer(base bridge.ServerURL, bearer bridge.Secret, cfg api.ClientConfig) *Server {
	return &Server{newClient(base, bearer, "/ace/v1", cfg)}
}

// As returns the same client with another credential.
func (c *Server) As(bearer bridge.Secret) *Server {
	other := *c
	other.bearer = bearer
	return &other
}

// Discovery returns what the server publishes about itself.
//
// If something else answers at that address, the error has the code [bridge.CodeNotAce].
func (c *Server) Discovery(ctx context.Context) (api.Discovery, error) {
	var d api.Discovery
	err := c.do(ctx, call{method: http.MethodGet, path: "/.well-known/ace-server", out: &d})
	if e := bridge.AsError(err); err != nil && (e.Kind == bridge.Unreachable || e.Code == bridge.CodeInternal) {
		return d, err
	}
	if err != nil || d.Product != "ace" {
		return d, bridge.E(bridge.Invalid, bridge.CodeNotAce, "what answers at %s is not an ace server", c.base).Because(err).
			WithHint("check the address, and that the path /.well-known/ace-server reaches `ace server`")
	}
	return d, nil
}

// Exchange turns a connect token into an API key.
func (c *Server) Exchange(ctx context.Context, token bridge.Secret, r api.ExchangeRequest) (api.ExchangeAnswer, error) {
	var out api.ExchangeAnswer
	err := c.do(ctx, call{method: http.MethodPost, path: "/ace/v1/exchange", body: r, bearer: token, out: &out})
	return out, err
}

// Me returns who the credential belongs to on the server.
func (c *Server) Me(ctx context.Context) (api.Identity, error) {
	var out api.Identity
	err := c.do(ctx, call{method: http.MethodGet, path: "/ace/v1/me", out: &out})
	return out, err
}

// MeWith is Me with a connection's credential, sent in the header that the cloud named.
func (c *Server) MeWith(ctx context.Context, cred api.Credential) (api.Identity, error) {
	var out api.Identity
	header := http.Header{}
	header.Set(cred.Header, cred.Value.Reveal())
	err := c.As(bridge.Secret{}).do(ctx, call{method: http.MethodGet, path: "/ace/v1/me", header: header, out: &out})
	return out, err
}

// DeliverRevocation gives the server the signed statement that kills a key.
func (c *Server) DeliverRevocation(ctx context.Context, keyID string, token bridge.Secret) (api.APIKey, error) {
	return c.As(token).RevokeKey(ctx, keyID)
}

// Refusal says why the server refused the request with this ID.
func (c *Server) Refusal(ctx context.Context, requestID string) (api.Refusal, error) {
	var out api.Refusal
	err := c.do(ctx, call{method: http.MethodGet, path: "/ace/v1/refusals/" + url.PathEscape(requestID), out: &out})
	return out, err
}

// Introspect asks who a credential belongs to (RFC 7662).
func (c *Server) Introspect(ctx context.Context, r api.IntrospectRequest) (api.Introspection, error) {
	form := url.Values{"token": {r.Token.Reveal()}}
	for name, value := range map[string]string{"client_address": r.Address, "user_agent": r.UserAgent, "method": r.Method, "uri": r.URI} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if r.Spend {
		form.Set("spend", "true")
	}
	var out api.Introspection
	err := c.do(ctx, call{method: http.MethodPost, path: "/ace/v1/introspect", form: form, out: &out})
	return out, err
}

// maxLine bounds a line of the stream of changed keys, in bytes.
const maxLine = 64 << 10

// KeyChanges follows the stream of changed keys and passes each line ([api.KeyChange]) to take.
//
// It returns when ctx or the stream ends, or with the error of take. since is the position an earlier stream has reached; -1
// starts with the next change. take must not keep the line.
func (c *Server) KeyChanges(ctx context.Context, since int64, take func(line json.RawMessage) error) error {
	query := url.Values{}
	if since >= 0 {
		query.Set("since", strconv.FormatInt(since, 10))
	}
	resp, err := c.send(ctx, call{method: http.MethodGet, path: "/ace/v1/revocations", query: query})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return api.ReadProblem(resp)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := take(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.networkError(ctx, err)
	}
	return nil
}

// Healthy fails unless the server is up.
func (c *Server) Healthy(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodGet, path: "/ace/healthz"})
}
