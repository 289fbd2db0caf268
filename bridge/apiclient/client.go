package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const (
	defaultClientTimeout = 15 * time.Second
	maxAnswer            = 8 << 20
)

// Client is the part that the two typed clients share.
//
// It has one base URL and one credential, and bounds the time and size of each call. It follows no redirects, so a credential
// never goes to an address that nobody typed. It is safe for concurrent use.
type Client struct {
	base    bridge.ServerURL
	root    string // path prefix of the API: "/v1" or "/ace/v1"
	bearer  bridge.Secret
	agent   string
	timeout time.Duration
	most    int64
	http    *http.Client
	refused func(*bridge.Error) *bridge.Error
}

func newClient(base bridge.ServerURL, bearer bridge.Secret, root string, cfg api.ClientConfig) Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultClientTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "ace"
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = maxAnswer
	}
	return Client{base: base, root: root, bearer: bearer, agent: cfg.UserAgent, timeout: cfg.Timeout, most: cfg.MaxAnswer, http: &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, refused: cfg.Refused}
}

// Base returns the URL that the client calls.
func (c *Client) Base() bridge.ServerURL { return c.base }

// call is one request with a JSON body, a form or neither. The response is decoded into out unless out is nil.
type call struct {
	method, path string
	url          string // a discovered endpoint, instead of base and path
	query        url.Values
	body         any
	form         url.Values
	bearer       bridge.Secret // instead of the client's own credential
	header       http.Header
	out          any
	// problem reads an unsuccessful response; nil uses Client.problem.
	problem func(*http.Response) error
}

// do sends a call and decodes its response.
func (c *Client) do(ctx context.Context, r call) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return c.redirected(resp)
	case resp.StatusCode >= 400:
		if r.problem != nil {
			return r.problem(resp)
		}
		return c.problem(resp)
	case r.out == nil || resp.StatusCode == http.StatusNoContent:
		return nil
	}
	return c.decode(ctx, resp, r.out)
}

// problem turns an unsuccessful response into an error.
func (c *Client) problem(resp *http.Response) error {
	err := api.ReadProblem(resp)
	if c.refused == nil {
		return err
	}
	return c.refused(bridge.AsError(err))
}

// send returns the response whatever its status; the caller closes the body.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.networkError(ctx, err)
	}
	return resp, nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.body != nil:
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(encoded), "application/json"
	}
	target := r.url
	if target == "" {
		target = c.base.Join(r.path)
	}
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	if r.bearer.IsZero() {
		r.bearer = c.bearer
	}
	setCredential(req.Header, r.bearer)
	return req, nil
}

// setCredential puts a credential into the header for its kind. An API key, with or without its ID, goes into X-Ace-Api-Key
// and never into Authorization, so that programs that log or forward bearer tokens do not get hold of keys.
func setCredential(h http.Header, credential bridge.Secret) {
	if credential.IsZero() {
		return
	}
	if p, err := bridge.ParsePresented(credential); err == nil && p.IsKey() {
		h.Set(bridge.HeaderAceAPIKey, credential.Reveal())
		return
	}
	h.Set(bridge.HeaderAuthorization, "Bearer "+credential.Reveal())
}

func (c *Client) decode(ctx context.Context, resp *http.Response, out any) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, c.most+1))
	if err != nil {
		return c.networkError(ctx, err)
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if int64(len(raw)) > c.most || mediaType != "application/json" || bridge.DecodeStrict(raw, out) != nil {
		return bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected, "%s answered something that is not ace's JSON", c.base).
			WithHint("check the address")
	}
	return nil
}

// redirected refuses a redirect and names its target, which may be the address the caller should have used.
func (c *Client) redirected(resp *http.Response) error {
	e := bridge.E(bridge.Invalid, bridge.CodeRedirected, "%s answers with a redirect, which is not followed", c.base)
	if to, err := resp.Location(); err == nil && to.Host != "" {
		e = e.WithHint("if you trust it, give the address it redirects to: %s://%s", to.Scheme, to.Host)
	}
	return e
}

// networkError explains in a sentence why there was no response.
func (c *Client) networkError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return cause
	}
	return bridge.E(bridge.Unreachable, bridge.CodeUnreachable, "cannot reach %s: %s", c.base,
		WhyUnreachable(err)).Because(quiet{err}).
		WithHint("check the address, and that it runs")
}

// quiet hides the text of an error, which may contain secrets such as the password of a proxy.
type quiet struct{ err error }

// Error implements error.
func (q quiet) Error() string { return WhyUnreachable(q.err) }

// Unwrap returns the hidden error, for errors.Is and errors.As.
func (q quiet) Unwrap() error { return q.err }

// WhyUnreachable explains why there was no response, without quoting any address.
//
// The address of a proxy may contain a password.
func WhyUnreachable(err error) string {
	why := "the connection failed"
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch text := err.Error(); {
	case strings.Contains(text, "proxyconnect") || strings.Contains(text, "invalid proxy") || strings.Contains(text, "Proxy Authentication"):
		why = "the proxy of HTTPS_PROXY or HTTP_PROXY is malformed, or does not let it through"
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		why = "no answer in time"
	case errors.As(err, &dns):
		why = "the host name is not known"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		why = "its TLS certificate is not trusted"
	case errors.As(err, &record) || strings.Contains(text, "HTTP response to HTTPS client"):
		why = "it does not speak TLS"
	case isRefused(err):
		why = "nothing listens there"
	}
	return why
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func isRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// all reads every page of a list, up to a bound that no honest list reaches.
func all[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	items := []T{}
	if query == nil {
		query = url.Values{}
	}
	for range 1000 {
		var page api.List[T]
		if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, out: &page}); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
	return nil, bridge.E(bridge.Invalid, bridge.CodeListEndless, "%s sends a list without an end", c.base)
}
