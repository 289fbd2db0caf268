package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// fakeCloud answers every way to log in, and keeps what it was sent. All that is secret has the word canary in it, or is
// listed in secrets.
type fakeCloud struct {
	*httptest.Server
	key, pat bridge.Key

	mu        sync.Mutex // of all below, held during a request
	life      int        // of an access token of a login, in seconds; those of a refresh have 900
	refreshes int
	revoked   []string
	seen      []*http.Request
	secrets   []string
	challenge string
	otp       string                 // of the account; empty: it has none
	refuse    bridge.Kind            // what /v1/me answers everybody, if that is set
	answer    func(q url.Values)     // changes what the authorization endpoint sends back
	metadata  func(m map[string]any) // changes the metadata
	instead   http.Handler           // of all
}

const (
	canaryPassword = " canary password with spaces "
	canaryAccess   = "canary-access-token"
	canaryRefresh  = "canary-refresh-token"
	canaryCode     = "canary-authorization-code"
	canaryDevice   = "canary-device-code"
)

// canaryToken is a developer token, of which only what the CLI reads is as it should be.
func (f *fakeCloud) canaryToken(claims map[string]any) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return part(map[string]string{"alg": "EdDSA", "typ": bridge.TypeSession}) + "." + part(claims) + ".canary-signature"
}

func newFakeCloud(t *testing.T) *fakeCloud {
	t.Helper()
	f := &fakeCloud{life: 900, key: bridge.NewKey(bridge.KindLive, uuid.New()), pat: bridge.NewKey(bridge.KindPAT, uuid.New())}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathMetadata, f.describe)
	mux.HandleFunc("POST /oauth/device_authorization", func(w http.ResponseWriter, _ *http.Request) {
		f.json(w, http.StatusOK, map[string]any{"device_code": canaryDevice, "user_code": "ABCD-EFGH", "interval": 1,
			"expires_in": 60, "verification_uri": f.URL + "/device"})
	})
	mux.HandleFunc("GET /oauth/authorize", f.authorize)
	mux.HandleFunc("POST /oauth/token", f.token)
	mux.HandleFunc("POST /oauth/revoke", func(_ http.ResponseWriter, r *http.Request) {
		f.revoked = append(f.revoked, r.FormValue("token"))
	})
	mux.HandleFunc("GET /v1/me", f.me)
	mux.HandleFunc("POST /v1/sessions", f.session)
	f.secrets = []string{"canary", f.key.Text().Reveal(), f.pat.Text().Reveal()}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, r)
		w.Header().Set(api.HeaderRequestID, "request-1")
		if f.instead != nil {
			f.instead.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	f.Start() // only now: its requests read the address that this sets
	t.Cleanup(f.Close)
	return f
}

// set changes how the cloud answers from now on.
func (f *fakeCloud) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// requests returns what has been asked since the last time.
func (f *fakeCloud) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

func (f *fakeCloud) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fakeCloud) describe(w http.ResponseWriter, _ *http.Request) {
	m := map[string]any{"issuer": f.URL, "authorization_endpoint": f.URL + "/oauth/authorize", "jwks_uri": f.URL + "/jwks",
		"device_authorization_endpoint": f.URL + "/oauth/device_authorization", "token_endpoint": f.URL + "/oauth/token",
		"revocation_endpoint": f.URL + "/oauth/revoke"}
	if f.metadata != nil {
		f.metadata(m)
	}
	f.json(w, http.StatusOK, m)
}

func (f *fakeCloud) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.challenge = q.Get("code_challenge")
	back := url.Values{"code": {canaryCode}, "state": {q.Get("state")}, "iss": {f.URL}}
	if f.answer != nil {
		f.answer(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (f *fakeCloud) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) { f.json(w, http.StatusBadRequest, map[string]string{"error": code}) }
	life := f.life
	switch r.FormValue("grant_type") {
	case api.GrantDeviceCode:
		if r.FormValue("device_code") != canaryDevice {
			refuse("invalid_grant")
			return
		}
	case api.GrantCode:
		verifier := r.FormValue("code_verifier")
		f.secrets = append(f.secrets, verifier)
		sum := sha256.Sum256([]byte(verifier))
		if r.FormValue("code") != canaryCode || base64.RawURLEncoding.EncodeToString(sum[:]) != f.challenge {
			refuse("invalid_grant")
			return
		}
	case api.GrantRefreshToken:
		life = 900
		f.refreshes++
		if r.FormValue("refresh_token") != fmt.Sprintf("%s-%d", canaryRefresh, f.refreshes-1) {
			refuse("invalid_grant")
			return
		}
	}
	f.json(w, http.StatusOK, map[string]any{"access_token": canaryAccess, "token_type": "Bearer", "expires_in": life,
		"refresh_token": fmt.Sprintf("%s-%d", canaryRefresh, f.refreshes), "refresh_expires_in": 86400})
}

func (f *fakeCloud) session(w http.ResponseWriter, r *http.Request) {
	var body api.SessionRequest
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Email != "ada@acme.test" || body.Password.Reveal() != canaryPassword {
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, "credentials_invalid", "the e-mail address or the password is wrong"))
		return
	}
	if body.OTP != f.otp {
		code := api.CodeOTPRequired
		if body.OTP != "" {
			code = "otp_invalid"
		}
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, code, "the account has a second factor"))
		return
	}
	f.json(w, http.StatusOK, api.SessionToken{Token: bridge.NewSecret(canaryAccess).Disclose(), ExpiresAt: time.Now().Add(3 * time.Hour)})
}

func (f *fakeCloud) me(w http.ResponseWriter, r *http.Request) {
	if f.refuse != "" {
		api.WriteProblem(w, bridge.E(f.refuse, "refused", "the session has ended"))
		return
	}
	expires := time.Now().Add(90 * 24 * time.Hour)
	me := api.Me{ID: "1", Email: "ada@acme.test", Name: "Ada", Country: "DE", Currency: "EUR", Org: "acme", OrgID: "org-123",
		Role: "admin", Scopes: []string{"connection:read"}, ExpiresAt: &expires}
	bearer, _ := strings.CutPrefix(r.Header.Get(bridge.HeaderAuthorization), "Bearer ")
	switch key := r.Header.Get(bridge.HeaderAceAPIKey); {
	case key == f.pat.Text().Reveal():
		me.Method = methodPAT
	case key != "" && strings.HasSuffix(key, f.key.Text().Reveal()):
		me.Method, me.Email, me.KeyID = methodAPIKey, "", f.key.ID.String()
	case strings.Contains(bearer, "canary"):
		me.Method = methodDevice
	default:
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, "key_invalid", "API key is invalid or expired"))
		return
	}
	f.json(w, http.StatusOK, me)
}

// ran is what a command left behind.
type ran struct {
	stdout, stderr string
	code           int
}

// terminal runs ace as processes of a person with a home of their own.
type terminal struct {
	t    *testing.T
	home string
	env  []string
	said strings.Builder // all that any command has printed
}

func newTerminal(t *testing.T, env ...string) *terminal {
	t.Helper()
	home := t.TempDir()
	return &terminal{t: t, home: home, env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "NO_COLOR=1"}, env...)}
}

func (c *terminal) command(stdin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "ace", args...)
	cmd.Env, cmd.Dir = c.env, c.home
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	return cmd
}

func (c *terminal) run(stdin string, args ...string) ran {
	c.t.Helper()
	cmd := c.command(stdin, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		c.t.Fatalf("ace %v: %v", args, err)
	}
	r := ran{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
	c.said.WriteString(r.stdout + r.stderr)
	return r
}

// must runs a command that has to succeed.
func (c *terminal) must(stdin string, args ...string) ran {
	c.t.Helper()
	r := c.run(stdin, args...)
	if r.code != 0 {
		c.t.Fatalf("ace %v exits with %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// browse runs `ace login --browser` and opens the page it names, as a browser would.
func (c *terminal) browse(args ...string) (ran, string) {
	c.t.Helper()
	cmd := c.command("", append([]string{"login", "--browser", "--no-connect"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	pipe, err := cmd.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	said, page := readPage(pipe)
	shown := ""
	if page != "" {
		resp, err := http.Get(page) //nolint:gosec,noctx // the page of the fake cloud
		if err != nil {
			c.t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		shown = resp.Status + "\n" + string(body)
	}
	rest, _ := io.ReadAll(pipe)
	_ = cmd.Wait()
	r := ran{out.String(), said + string(rest), cmd.ProcessState.ExitCode()}
	c.said.WriteString(r.stdout + r.stderr)
	return r, shown
}

// readPage reads what a login says, up to the address that it asks to open.
func readPage(r io.Reader) (said, page string) {
	var line []byte
	one := make([]byte, 1)
	for {
		if n, err := r.Read(one); n == 0 || err != nil {
			return said + string(line), ""
		}
		line = append(line, one[0])
		if one[0] != '\n' {
			continue
		}
		said += string(line)
		if address, ok := strings.CutPrefix(string(line), "Open "); ok {
			return said, strings.TrimSpace(address)
		}
		line = nil
	}
}
