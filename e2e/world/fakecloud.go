package world

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// FakeCloud answers every way to log in, and keeps what it was sent. All that is secret has the word canary in it, or is
// listed in secrets.
type FakeCloud struct {
	*httptest.Server
	Key, PAT bridge.Key

	mu        sync.Mutex // of all below, held during a request
	Life      int        // of an access token of a login, in seconds; those of a refresh have 900
	Refreshes int
	Revoked   []string
	seen      []*http.Request
	Secrets   []string
	challenge string
	Otp       string                 // of the account; empty: it has none
	Refuse    bridge.Kind            // what /v1/me answers everybody, if that is set
	Answer    func(q url.Values)     // changes what the authorization endpoint sends back
	Metadata  func(m map[string]any) // changes the metadata
	Instead   http.Handler           // of all
}

// What is secret in a login at such a cloud.
const (
	CanaryPassword = " canary password with spaces "
	CanaryAccess   = "canary-access-token"
	CanaryRefresh  = "canary-refresh-token"
	canaryCode     = "canary-authorization-code"
	CanaryDevice   = "canary-device-code"
)

// CanaryToken is a developer token, of which only what the CLI reads is as it should be.
func (f *FakeCloud) CanaryToken(claims map[string]any) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return part(map[string]string{"alg": "EdDSA", "typ": bridge.TypeSession}) + "." + part(claims) + ".canary-signature"
}

// NewFakeCloud starts one, for the time of the test.
func NewFakeCloud(t *testing.T) *FakeCloud {
	t.Helper()
	f := &FakeCloud{Life: 900, Key: bridge.NewKey(bridge.KindLive, uuid.New()), PAT: bridge.NewKey(bridge.KindPAT, uuid.New())}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathMetadata, f.describe)
	mux.HandleFunc("POST /oauth/device_authorization", func(w http.ResponseWriter, _ *http.Request) {
		f.JSON(w, http.StatusOK, map[string]any{"device_code": CanaryDevice, "user_code": "ABCD-EFGH", "interval": 1,
			"expires_in": 60, "verification_uri": f.URL + "/device"})
	})
	mux.HandleFunc("GET /oauth/authorize", f.authorize)
	mux.HandleFunc("POST /oauth/token", f.token)
	mux.HandleFunc("POST /oauth/revoke", func(_ http.ResponseWriter, r *http.Request) {
		f.Revoked = append(f.Revoked, r.FormValue("token"))
	})
	mux.HandleFunc("GET /v1/me", f.me)
	mux.HandleFunc("POST /v1/sessions", f.session)
	f.Secrets = []string{"canary", f.Key.Text().Reveal(), f.PAT.Text().Reveal()}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, r)
		w.Header().Set(api.HeaderRequestID, "request-1")
		if f.Instead != nil {
			f.Instead.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	f.Start() // only now: its requests read the address that this sets
	t.Cleanup(f.Close)
	return f
}

// Set changes how the cloud answers from now on.
func (f *FakeCloud) Set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Requests returns what has been asked since the last time.
func (f *FakeCloud) Requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

// JSON answers a request.
func (f *FakeCloud) JSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *FakeCloud) describe(w http.ResponseWriter, _ *http.Request) {
	m := map[string]any{"issuer": f.URL, "authorization_endpoint": f.URL + "/oauth/authorize", "jwks_uri": f.URL + "/jwks",
		"device_authorization_endpoint": f.URL + "/oauth/device_authorization", "token_endpoint": f.URL + "/oauth/token",
		"revocation_endpoint": f.URL + "/oauth/revoke"}
	if f.Metadata != nil {
		f.Metadata(m)
	}
	f.JSON(w, http.StatusOK, m)
}

func (f *FakeCloud) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.challenge = q.Get("code_challenge")
	back := url.Values{"code": {canaryCode}, "state": {q.Get("state")}, "iss": {f.URL}}
	if f.Answer != nil {
		f.Answer(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (f *FakeCloud) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code bridge.Code) { f.JSON(w, http.StatusBadRequest, map[string]bridge.Code{"error": code}) }
	life := f.Life
	switch r.FormValue("grant_type") {
	case api.GrantDeviceCode:
		if r.FormValue("device_code") != CanaryDevice {
			refuse(bridge.CodeInvalidGrant)
			return
		}
	case api.GrantCode:
		verifier := r.FormValue("code_verifier")
		f.Secrets = append(f.Secrets, verifier)
		sum := sha256.Sum256([]byte(verifier))
		if r.FormValue("code") != canaryCode || base64.RawURLEncoding.EncodeToString(sum[:]) != f.challenge {
			refuse(bridge.CodeInvalidGrant)
			return
		}
	case api.GrantRefreshToken:
		life = 900
		f.Refreshes++
		if r.FormValue("refresh_token") != fmt.Sprintf("%s-%d", CanaryRefresh, f.Refreshes-1) {
			refuse(bridge.CodeInvalidGrant)
			return
		}
	}
	f.JSON(w, http.StatusOK, map[string]any{"access_token": CanaryAccess, "token_type": "Bearer", "expires_in": life,
		"refresh_token": fmt.Sprintf("%s-%d", CanaryRefresh, f.Refreshes), "refresh_expires_in": 86400})
}

func (f *FakeCloud) session(w http.ResponseWriter, r *http.Request) {
	var body api.SessionRequest
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Email != "ada@acme.test" || body.Password.Reveal() != CanaryPassword {
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, "credentials_invalid", "the e-mail address or the password is wrong"))
		return
	}
	if body.OTP != f.Otp {
		code := bridge.CodeOTPRequired
		if body.OTP != "" {
			code = bridge.CodeOTPInvalid
		}
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, code, "the account has a second factor"))
		return
	}
	f.JSON(w, http.StatusOK, api.SessionToken{Token: bridge.NewSecret(CanaryAccess).Disclose(), ExpiresAt: time.Now().Add(3 * time.Hour)})
}

func (f *FakeCloud) me(w http.ResponseWriter, r *http.Request) {
	if f.Refuse != "" {
		api.WriteProblem(w, bridge.E(f.Refuse, "refused", "the session has ended"))
		return
	}
	expires := time.Now().Add(90 * 24 * time.Hour)
	me := api.Me{ID: "1", Email: "ada@acme.test", Name: "Ada", Country: "DE", Currency: "EUR", Org: "acme", OrgID: "org-123",
		Role: "admin", Scopes: []string{"connection:read"}, ExpiresAt: &expires}
	bearer, _ := strings.CutPrefix(r.Header.Get(bridge.HeaderAuthorization), "Bearer ")
	switch key := r.Header.Get(bridge.HeaderAceAPIKey); {
	case key == f.PAT.Text().Reveal():
		me.Method = MethodPAT
	case key != "" && strings.HasSuffix(key, f.Key.Text().Reveal()):
		me.Method, me.Email, me.KeyID = MethodAPIKey, "", f.Key.ID.String()
	case strings.Contains(bearer, "canary"):
		me.Method = MethodDevice
	default:
		api.WriteProblem(w, bridge.E(bridge.Unauthenticated, bridge.CodeKeyInvalid, "API key is invalid or expired"))
		return
	}
	f.JSON(w, http.StatusOK, me)
}

// Grep looks for the secrets in all that a terminal has printed, and in its files.
func (f *FakeCloud) Grep(t *testing.T, ace *Terminal) {
	t.Helper()
	var secrets []string
	f.Set(func() { secrets = slices.Clone(f.Secrets) })
	check := func(where, text string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q", where, secret)
			}
		}
	}
	check("what was printed", ace.said.String())
	files := 0
	err := filepath.WalkDir(ace.Home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path) //nolint:gosec // a file of the test
		check(path, string(raw))
		files++
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files looked at: %v", files, err)
	}
}
