package cloud_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// A change takes effect for the next request to this process. Nothing runs in the background here, and nothing waits.
func TestChangesCountAtTheNextRequest(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	relay, connection := f.behind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	admin := f.client()
	me := func(credential bridge.Secret) string {
		who, err := f.as(credential).Me(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return who.ID
	}
	for name, change := range map[string]func(ctx context.Context, credential bridge.Secret, key string) error{
		"unshared": func(ctx context.Context, _ bridge.Secret, _ string) error {
			_, err := admin.Patch(ctx, connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
			return err
		},
		"limited to nothing": func(ctx context.Context, credential bridge.Secret, _ string) error {
			_, err := admin.LimitMember(ctx, connection.ID, me(credential), api.MemberLimit{Access: connections.AccessNone})
			return err
		},
		"removed": func(ctx context.Context, credential bridge.Secret, _ string) error {
			_, err := admin.RemoveMember(ctx, "acme", me(credential))
			return err
		},
		"session ended": func(ctx context.Context, credential bridge.Secret, _ string) error {
			return admin.RevokeSession(ctx, credential)
		},
		"its key revoked": func(ctx context.Context, _ bridge.Secret, key string) error {
			_, err := admin.RevokeKey(ctx, key)
			return err
		},
		"its key limited": func(ctx context.Context, _ bridge.Secret, key string) error {
			_, err := admin.LimitMember(ctx, connection.ID, key, api.MemberLimit{Access: connections.AccessNone})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.share(connection.ID, connections.Organization)
			credential, key := f.memberToken(strings.ReplaceAll(name, " ", "-")+"@acme.test", bridge.RoleMember), ""
			if name == "its key revoked" || name == "its key limited" {
				created := f.key(f.client(), api.CreateKeyRequest{Name: "ci", Scopes: []string{"connection:use", "connection:read"}})
				credential, key = created.Key.Secret, created.KeyID
			}
			call := func() int {
				resp, _ := f.do("GET", relay+"/x", "", "Authorization", "Bearer "+credential.Reveal())
				return resp.StatusCode
			}
			if status := call(); status != http.StatusNoContent {
				t.Fatalf("before the change: %d", status)
			}
			if err := change(t.Context(), credential, key); err != nil {
				t.Fatal(err)
			}
			if status := call(); status < 400 {
				t.Errorf("a call through the relay: %d", status)
			}
			if _, err := f.as(credential).Credential(t.Context(), connection.ID); err == nil {
				t.Error("a credential is still given out")
			}
		})
	}
}
