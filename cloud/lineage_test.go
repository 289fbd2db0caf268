package cloud_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// Every answer about a cloud key says what made it and for whom; a child has no more rights than its parent.
func TestLineageOverTheAPI(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ctx, ann := t.Context(), f.client()
	_, token := f.join("bob@acme.test", bridge.RoleMember)
	bob := f.as(token)
	shape := func(k api.APIKey) string {
		return strings.Join([]string{k.Kind, k.Lineage, k.Subject, k.Owner}, " ")
	}
	ci := f.key(ann, api.CreateKeyRequest{Name: "ci", Scopes: []string{"key:*", "connection:read", "member:read"}})
	ofCI := f.key(f.as(ci.Key.Secret), api.CreateKeyRequest{Name: "job", Scopes: []string{"key:*", "connection:read"}})
	ofJob := f.key(f.as(ofCI.Key.Secret), api.CreateKeyRequest{Name: "step", Scopes: []string{"connection:read"}})
	mine := f.key(ann, api.CreateKeyRequest{Name: "mine", Lineage: "personal", Scopes: []string{"connection:read"}})
	maker := f.key(ann, api.CreateKeyRequest{Name: "terraform", Scopes: []string{"key:*", "key:create-organization", "connection:read"}})
	made := f.key(f.as(maker.Key.Secret), api.CreateKeyRequest{Name: "made", Lineage: "organization", Scopes: []string{"connection:read"}})
	laptop := f.key(bob, api.CreateKeyRequest{Name: "laptop", Kind: "pat", Scopes: []string{"key:*", "connection:read"}})
	ofLaptop := f.key(f.as(laptop.Key.Secret), api.CreateKeyRequest{Name: "editor", Kind: "pat", Scopes: []string{"connection:read"}})
	all, err := ann.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		created      api.CreatedKey
		want, parent string
		below        [2]int // children, descendants
	}{
		{ci, "live organization  ann@acme.test", "", [2]int{1, 2}},
		{ofCI, "live personal ann@acme.test ann@acme.test", ci.KeyID, [2]int{1, 1}},
		{ofJob, "live personal ann@acme.test ann@acme.test", ofCI.KeyID, [2]int{}},
		{mine, "live personal ann@acme.test ann@acme.test", "", [2]int{}},
		{made, "live organization  ann@acme.test", "", [2]int{}},
		{laptop, "pat personal bob@acme.test bob@acme.test", "", [2]int{1, 1}},
		{ofLaptop, "pat personal bob@acme.test bob@acme.test", laptop.KeyID, [2]int{}},
	} {
		one, err := ann.Key(ctx, c.created.KeyID)
		if err != nil || one.Children != c.below[0] || one.Descendants != c.below[1] {
			t.Errorf("%s has %d children and %d descendants (%v)", one.Name, one.Children, one.Descendants, err)
		}
		i := slices.IndexFunc(all, func(k api.APIKey) bool { return k.KeyID == one.KeyID })
		for where, k := range map[string]api.APIKey{"created": c.created.APIKey, "read": one, "listed": all[i]} {
			if shape(k) != c.want || k.Parent != c.parent {
				t.Errorf("%s, %s: %q below %q, want %q below %q", k.Name, where, shape(k), k.Parent, c.want, c.parent)
			}
		}
	}

	parentOf := func(cookie, parent string) (int, string) {
		resp, body := f.do("GET", "/v1/api-keys?parent="+url.QueryEscape(parent), "", "Authorization", "Bearer "+cookie)
		return resp.StatusCode, body
	}
	annToken := f.token.Reveal()
	if status, body := parentOf(annToken, ci.KeyID); status != http.StatusOK || !strings.Contains(body, ofCI.KeyID) || strings.Contains(body, ofJob.KeyID) {
		t.Errorf("the children: %d %s", status, body)
	}
	if status, body := parentOf(token.Reveal(), ci.KeyID); status != http.StatusOK || strings.Contains(body, "key_id") {
		t.Errorf("a member's, of a key that they do not see: %d %s", status, body)
	}
	if status, body := parentOf(token.Reveal(), laptop.KeyID); status != http.StatusOK || !strings.Contains(body, ofLaptop.KeyID) {
		t.Errorf("a member's own: %d %s", status, body)
	}
	if status, body := parentOf(annToken, uuid.NewString()); status != http.StatusOK || strings.Contains(body, "key_id") {
		t.Errorf("of no key: %d %s", status, body)
	}
	if status, body := parentOf(annToken, "x' OR 1=1"); status != http.StatusBadRequest || !strings.Contains(body, "key_id_malformed") {
		t.Errorf("of what is no ID: %d %s", status, body)
	}

	_, err = ann.CreateKey(ctx, api.CreateKeyRequest{Name: "x", Lineage: "wonder", Scopes: []string{"connection:read"}})
	wantCode(t, "a lineage that is none", err, "lineage_unknown")
	_, err = f.as(ci.Key.Secret).CreateKey(ctx, api.CreateKeyRequest{Name: "x", Lineage: "organization", Scopes: []string{"connection:read"}})
	wantCode(t, "an organization key by a key without the scope", err, "lineage_organization")
	_, err = f.as(ofCI.Key.Secret).CreateKey(ctx, api.CreateKeyRequest{Name: "x", Scopes: []string{"member:read"}})
	wantCode(t, "more than the parent has", err, "scope_ceiling")

	me, err := f.as(ofJob.Key.Secret).Me(ctx)
	if err != nil || me.KeyID != ofJob.KeyID || me.Method != "api_key" || !slices.Equal(me.Scopes, []string{"connection:read"}) {
		t.Errorf("who a grandchild is: %+v (%v)", me, err)
	}
	if me, err = f.as(ofLaptop.Key.Secret).Me(ctx); err != nil || me.Email != "bob@acme.test" || me.KeyID != ofLaptop.KeyID {
		t.Errorf("who a token's child is: %+v (%v)", me, err)
	}
	if _, err := ann.DisableKey(ctx, ci.KeyID); err != nil {
		t.Fatal(err)
	}
	if k, err := ann.Key(ctx, ofJob.KeyID); err != nil || k.Status != "parent_disabled" || k.StatusCause == nil || k.StatusCause.KeyID != ci.KeyID {
		t.Errorf("below a disabled key: %+v (%v)", k, err)
	}
	if _, err := f.as(ofJob.Key.Secret).Me(ctx); bridge.AsError(err).Kind != bridge.Unauthenticated {
		t.Errorf("a grandchild of a disabled key: %v", err)
	}
	if _, err := ann.RevokeKey(ctx, ci.KeyID); err != nil {
		t.Fatal(err)
	}
	if k, err := ann.Key(ctx, ofJob.KeyID); err != nil || k.Status != "revoked" || k.Ended == nil || !strings.Contains(k.Ended.Reason, ci.KeyID) {
		t.Errorf("below a revoked key: %+v (%v)", k, err)
	}
}
