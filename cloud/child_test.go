package cloud_test

import (
	"testing"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// A key that was made with a limited one is limited with it.
func TestChildOfALimitedKeyIsLimited(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	connection, _ := f.aceServer(nil)
	parent := f.key(f.client(), api.CreateKeyRequest{Name: "ci", Scopes: []string{"connection:use", "connection:read", "key:create"}})
	child := f.key(f.as(parent.Key.Secret), api.CreateKeyRequest{Name: "child", Scopes: []string{"connection:use", "connection:read"}})
	if _, err := f.as(child.Key.Secret).Credential(t.Context(), connection.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client().LimitMember(t.Context(), connection.ID, parent.KeyID, api.MemberLimit{Access: connections.AccessNone}); err != nil {
		t.Fatal(err)
	}
	if c, err := f.as(child.Key.Secret).Credential(t.Context(), connection.ID); err == nil {
		t.Errorf("the child of a key that is limited to nothing has a credential: %+v", c)
	}
}
