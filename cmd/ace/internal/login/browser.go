package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const (
	browserPatience = 10 * time.Minute // for somebody to sign in
	callbackPath    = "/callback"
	maxCode         = 2048 // bytes of an authorization code
)

// browserLogin runs the authorization code grant with PKCE (RFC 6749, RFC 7636). The redirect goes to a port of this machine that
// is open for this login only (RFC 8252 section 7.3).
func (g *Group) browserLogin(ctx context.Context, cloud *apiclient.Cloud, found api.Metadata, open bool) (api.TokenAnswer, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return api.TokenAnswer{}, err
	}
	verifier := bridge.NewSecret(bridge.RandomToken(32))
	c := callback{host: ln.Addr().String(), state: bridge.NewSecret(bridge.RandomToken(32)), issuer: found.Issuer,
		result: make(chan callbackResult, 1)}
	page, err := c.authorize(found.AuthorizationEndpoint, verifier)
	if err != nil {
		_ = ln.Close()
		return api.TokenAnswer{}, err
	}
	srv := &http.Server{Handler: &c, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = srv.Serve(ln) }()
	defer func() { // let the page be sent before the port closes
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(last) != nil {
			_ = srv.Close()
		}
	}()
	g.Term.Say("Open %s", bridge.Printable(page))
	g.Term.Say("in a browser on this machine, and sign in")
	if open && g.Term.Interactive() {
		term.OpenBrowser(ctx, page)
	}
	g.Term.Note("Waiting …")
	code, err := c.wait(ctx)
	if err != nil {
		return api.TokenAnswer{}, err
	}
	return cloud.ExchangeCode(ctx, code, verifier, c.redirectURI())
}

// callback answers the one request that the cloud redirects the browser to. Any other request gets a 404.
type callback struct {
	host   string // 127.0.0.1:PORT
	state  bridge.Secret
	issuer string
	result chan callbackResult // buffers one
}

type callbackResult struct {
	code bridge.Secret
	err  error
}

func (c *callback) redirectURI() string { return "http://" + c.host + callbackPath }

func (c *callback) authorize(endpoint string, verifier bridge.Secret) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(verifier.Reveal()))
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": api.CLIClientID, "redirect_uri": c.redirectURI(), "state": c.state.Reveal(),
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (c *callback) wait(ctx context.Context) (bridge.Secret, error) {
	patience := time.NewTimer(browserPatience)
	defer patience.Stop()
	select {
	case r := <-c.result:
		return r.code, r.err
	case <-ctx.Done():
		return bridge.Secret{}, ctx.Err()
	case <-patience.C:
		return bridge.Secret{}, bridge.E(bridge.Unauthenticated, bridge.CodeExpiredToken,
			"the login was not completed in time").WithHint("ace login --browser")
	}
}

const callbackPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>ace</title></head>
<body><h1>ace</h1><p>`

// ServeHTTP receives the answer of the authorization endpoint. A request without this login's state neither ends the login nor
// learns of it.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	q := r.URL.Query()
	state := bridge.NewSecret(q.Get("state"))
	if r.Method != http.MethodGet || r.Host != c.host || r.URL.Path != callbackPath || !state.Equal(c.state) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, callbackPage+"There is nothing here.</p></body></html>\n")
		return
	}
	answer := c.read(q)
	select {
	case c.result <- answer:
	default: // a reload: this login has been answered
		answer.err = bridge.E(bridge.Conflict, bridge.CodeAnswered, "answered")
	}
	text := "Done. You can close this page and go back to the terminal."
	if answer.err != nil {
		text = "This did not log you in. You can close this page; the terminal says why."
	}
	_, _ = io.WriteString(w, callbackPage+text+"</p></body></html>\n")
}

// read checks who answers, and then takes the code. A code of another issuer must not be sent to this one (RFC 9207 section 2.4).
func (c *callback) read(q url.Values) callbackResult {
	refuse := func(kind bridge.Kind, code bridge.Code, format string, args ...any) callbackResult {
		return callbackResult{err: bridge.E(kind, code, format, args...).WithHint("try again: ace login --browser")}
	}
	for name, values := range q {
		if len(values) > 1 {
			return refuse(bridge.Invalid, bridge.CodeCallbackMalformed, "the browser came back with %q more than once",
				bridge.Printable(name))
		}
	}
	code := q.Get("code")
	switch failed := q.Get("error"); {
	case q.Get("iss") != c.issuer:
		return refuse(bridge.Invalid, bridge.CodeIssuerMismatch, "the browser came back from a cloud other than %s", c.issuer)
	case failed == "access_denied":
		return callbackResult{err: bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "the login was refused in the browser").
			WithHint("ace login --browser, and approve it there")}
	case failed != "":
		return refuse(bridge.Invalid, bridge.CodeAuthorizationFailed, "the cloud refused: %.100s %.300s", bridge.Printable(failed),
			bridge.Printable(q.Get("error_description")))
	case code == "" || len(code) > maxCode:
		return refuse(bridge.Invalid, bridge.CodeCallbackMalformed, "the browser came back without a code")
	}
	return callbackResult{code: bridge.NewSecret(code)}
}
