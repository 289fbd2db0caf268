package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/connect"
)

// carried is a server's exchange, in the process of whoever joins.
type carried func(*http.Request) (int, any)

func (c carried) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := c(r)
	raw, err := json.Marshal(body)
	kind := "application/json"
	if status >= http.StatusBadRequest {
		kind = api.ContentTypeProblem
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(raw)), Request: r}, err
}

// TestJoin: the steps of a join come in order, and an error says whose it is.
func TestJoin(t *testing.T) {
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, fails string
		code        bridge.Code
		says        string
		steps       []string
	}{
		{"all is well", "", "", "", []string{"pin", api.PathJoin, "/ace/v1/exchange", api.PathJoinDone}},
		{"the pin", "pin", bridge.CodeCloudPinned, "joined another", []string{"pin"}},
		{"the cloud begins", api.PathJoin, bridge.CodeJoinTokenEnded, "the cloud http", []string{"pin", api.PathJoin}},
		{"another organization", "org", bridge.CodeJoinOther, "answers for the organization", []string{"pin", api.PathJoin}},
		{"the server", "/ace/v1/exchange", bridge.CodeConnectClock, "this server does not take", []string{"pin", api.PathJoin, "/ace/v1/exchange"}},
		{"a key in the clear", "sealed", bridge.CodeKeyNotSealed, "no key to seal", []string{"pin", api.PathJoin, "/ace/v1/exchange"}},
		{"the cloud completes", api.PathJoinDone, bridge.CodeJoinTokenEnded, "the cloud http", []string{"pin", api.PathJoin, "/ace/v1/exchange", api.PathJoinDone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var steps []string
			var token bridge.JoinToken
			cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				steps = append(steps, r.URL.Path)
				if r.Header.Get("Authorization") != "Bearer "+token.Text().Reveal() {
					t.Errorf("%s comes with %q", r.URL.Path, r.Header.Get("Authorization"))
				}
				if c.fails == r.URL.Path {
					api.WriteProblem(w, bridge.E(bridge.Unauthenticated, bridge.CodeJoinTokenEnded, "used up"))
					return
				}
				org := "acme"
				if c.fails == "org" {
					org = "rival"
				}
				var body any = api.JoinAnswer{Org: org, Organization: "Acme", ConnectToken: bridge.NewSecret("narrow").Disclose()}
				if r.URL.Path == api.PathJoinDone {
					var done api.JoinComplete
					if err := json.NewDecoder(r.Body).Decode(&done); err != nil || done.KeyID != "key" || done.SealedKey != "sealed" || done.LinkKey != "link" {
						t.Errorf("%+v (%v)", done, err)
					}
					body = api.Connection{ID: "id", Name: "laptop"}
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(body)
			}))
			defer cloud.Close()
			public, _ := root.TrustValues(bridge.ServerURL(cloud.URL), "acme")
			if token, err = bridge.NewJoinToken(public); err != nil {
				t.Fatal(err)
			}
			joined, err := connect.Join(t.Context(), connect.JoinConfig{Token: token, ServerID: "server", ServerURL: bridge.LinkURL("server"),
				Pin: func(_ context.Context, value string) error {
					steps = append(steps, "pin")
					if value != public {
						t.Errorf("it pins %s", value)
					}
					if c.fails == "pin" {
						return bridge.E(bridge.Conflict, bridge.CodeCloudPinned, "joined another")
					}
					return nil
				},
				Server: carried(func(r *http.Request) (int, any) {
					steps = append(steps, r.URL.Path)
					switch c.fails {
					case r.URL.Path:
						return http.StatusUnauthorized, api.Problem{Code: bridge.CodeConnectClock, Detail: "issued in the future"}
					case "sealed":
						return http.StatusCreated, api.ExchangeAnswer{KeyID: "key", LinkKey: "link"}
					}
					return http.StatusCreated, api.ExchangeAnswer{KeyID: "key", SealedKey: "sealed", LinkKey: "link"}
				})})
			if bridge.CodeOf(err) != c.code || !slices.Equal(steps, c.steps) {
				t.Errorf("%v after %v", err, steps)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", errors.Unwrap(err))
				t.Error(err)
			}
			if err == nil && (joined.Connection != "id" || joined.Name != "laptop" || joined.Org != "acme" || joined.KeyID != "key") {
				t.Errorf("%+v", joined)
			}
		})
	}
}
