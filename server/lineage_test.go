package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func (f *fixture) keysOf(query string) (ids []string, keys []api.APIKey) {
	f.t.Helper()
	var list api.List[api.APIKey]
	resp, body := f.do(http.MethodGet, "/ace/v1/api-keys"+query, "", "X-Api-Key", f.admin.Reveal())
	if err := json.Unmarshal([]byte(body), &list); err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", query, resp.StatusCode, body)
	}
	for _, k := range list.Items {
		ids = append(ids, k.KeyID)
	}
	return ids, list.Items
}

func (f *fixture) about(id string) (k api.APIKey) {
	f.t.Helper()
	_, body := f.do(http.MethodGet, "/ace/v1/api-keys/"+id, "", "X-Api-Key", f.admin.Reveal())
	if err := json.Unmarshal([]byte(body), &k); err != nil {
		f.t.Fatal(err)
	}
	return k
}

// mintWith creates a key with a credential other than the operator's.
func (f *fixture) mintWith(credential, name string) (key, id string) {
	f.t.Helper()
	resp, body := f.do(http.MethodPost, "/ace/v1/api-keys", `{"name":"`+name+`","preset":"full"}`, "Authorization", "Bearer "+credential)
	var created api.CreatedKey
	if err := json.Unmarshal([]byte(body), &created); err != nil || resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("create a key: %d %s", resp.StatusCode, body)
	}
	return created.Key.Reveal(), created.KeyID
}

// TestLineageOverHTTP checks what each endpoint says about a key's kind, its parent, and what happens to it with its parent.
func TestLineageOverHTTP(t *testing.T) {
	f := start(t, http.HandlerFunc(echoHeaders), nil)
	connection := f.exchanged(bridge.RoleAdmin)
	child, childID := f.mintWith(strings.TrimPrefix(f.derivedFor(connection, bridge.AccessClaims{Subject: "bob@example.com", Scope: "*"}), "Bearer "), "child")
	grandchild, grandchildID := f.mintWith(child, "grandchild")
	organization, organizationID := f.mint(`{"name":"organization"}`)
	asker, _ := f.mint(`{"name":"asker","scopes":["key:read"]}`)
	parentID := connection.ID.String()

	type facts struct{ Kind, Lineage, Parent, Subject string }
	for id, want := range map[string]facts{
		parentID:       {Kind: "sk"},
		childID:        {"live", "personal", parentID, "bob@example.com"},
		grandchildID:   {"live", "personal", childID, "bob@example.com"},
		organizationID: {Kind: "live", Lineage: "organization"},
	} {
		k := f.about(id)
		if got := (facts{k.Kind, k.Lineage, k.Parent, k.Subject}); got != want || k.Status != "active" {
			t.Errorf("%s: %+v, %s; want %+v", k.Name, got, k.Status, want)
		}
	}
	if k := f.about(parentID); k.Children != 1 || k.Descendants != 2 {
		t.Errorf("%d children and %d descendants, want 1 and 2", k.Children, k.Descendants)
	}
	for query, want := range map[string][]string{"?parent=" + parentID: {childID}, "?parent=" + childID: {grandchildID},
		"?parent=" + organizationID: nil, "?parent=unknown": nil} {
		if ids, _ := f.keysOf(query); !slices.Equal(ids, want) {
			t.Errorf("%s lists %v, want %v", query, ids, want)
		}
	}
	if resp, body := f.do(http.MethodGet, "/ace/v1/api-keys?parent=nobody", "", "X-Api-Key", f.admin.Reveal()); resp.StatusCode != 400 || f.code(body) != "key_id_malformed" {
		t.Errorf("a parent that is no ID: %d %s", resp.StatusCode, body)
	}
	for key, want := range map[string]api.Identity{child: {Lineage: "personal", Parent: parentID, KeySubject: "bob@example.com"},
		organization: {Lineage: "organization"}} {
		_, body := f.do(http.MethodGet, "/ace/v1/me", "", "X-Api-Key", key)
		var me api.Identity
		if err := json.Unmarshal([]byte(body), &me); err != nil || me.Lineage != want.Lineage || me.Parent != want.Parent || me.KeySubject != want.KeySubject {
			t.Errorf("me: %s (%v), want %+v", body, err, want)
		}
	}

	var ends api.Ends
	_, body := f.do(http.MethodGet, "/ace/v1/api-keys/"+parentID+"/ends", "", "X-Api-Key", f.admin.Reveal())
	if err := json.Unmarshal([]byte(body), &ends); err != nil || ends.Total != 3 || ends.Counts[api.EndsConnectionKey] != 1 || ends.Items[0].ID != parentID ||
		ends.Items[1].ID != childID || ends.Items[1].Owner != "bob@example.com" || ends.Items[2].Parent != childID {
		t.Errorf("what ends with the connection's key: %s (%v)", body, err)
	}
	if resp, body := f.do(http.MethodGet, "/ace/v1/api-keys/"+childID+"/ends", "", "X-Api-Key", asker); resp.StatusCode != 403 || f.code(body) != "scope_missing" {
		t.Errorf("whoever may not revoke asks what that ends: %d %s", resp.StatusCode, body)
	}

	// Disabled above, dead below: in lists, in introspection, for the operator who asks why. Then alive again.
	f.post(t, "/ace/v1/api-keys/"+childID+"/disable")
	if k := f.about(grandchildID); k.Status != "parent_disabled" || k.StatusCause == nil || k.StatusCause.KeyID != childID || k.Ended != nil {
		t.Errorf("below a disabled key: %+v", k)
	}
	if _, listed := f.keysOf("?parent=" + childID); len(listed) != 1 || listed[0].Status != "parent_disabled" {
		t.Errorf("listed below a disabled key: %+v", listed)
	}
	if _, a := f.introspect(asker, grandchild); a.Active {
		t.Error("introspection says that a key below a disabled one is active")
	}
	resp, _ := f.do(http.MethodGet, "/whoami", "", "X-Api-Key", grandchild)
	why := f.why(resp)
	if resp.StatusCode != 401 || why.Cause != "parent_disabled" || !strings.Contains(why.Detail, childID) || why.Hint != "ace api-key enable "+childID {
		t.Errorf("why: %d %+v", resp.StatusCode, why)
	}
	if _, log := f.do(http.MethodGet, "/ace/v1/audit?action=access.refuse", "", "X-Api-Key", f.admin.Reveal()); !strings.Contains(log, "parent_disabled") {
		t.Errorf("the audit log does not know: %s", log)
	}
	f.post(t, "/ace/v1/api-keys/"+childID+"/enable")
	if k := f.about(grandchildID); k.Status != "active" || k.StatusCause != nil {
		t.Errorf("enabled again: %+v", k)
	}

	// Limited: the key itself has the missing scope.
	if resp, _ := f.do(http.MethodGet, "/ace/v1/api-keys", "", "X-Api-Key", grandchild); resp.StatusCode != http.StatusOK {
		t.Fatalf("before the limit: %d", resp.StatusCode)
	}
	statement, err := connection.SignWithdrawal(bridge.Withdrawal{Number: 7, Until: map[string]int64{"bob@example.com": time.Now().Unix()},
		Keys: map[string]bridge.KeyAccess{"bob@example.com": {Scope: "app:read"}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+parentID+"/access-tokens", "", "Authorization", "Bearer "+statement.Reveal()); resp.StatusCode != http.StatusOK {
		t.Fatalf("withdraw: %d %s", resp.StatusCode, body)
	}
	if k := f.about(childID); k.Limit == nil || !slices.Equal(k.Limit.Scopes, []string{"app:read"}) {
		t.Errorf("its limit: %+v", k.Limit)
	}
	resp, _ = f.do(http.MethodGet, "/ace/v1/api-keys", "", "X-Api-Key", grandchild)
	if why := f.why(resp); resp.StatusCode != 403 || why.Scope != "key:list" || !strings.Contains(why.LimitedBy, "bob@example.com") || !strings.Contains(why.LimitedBy, "app:read") {
		t.Errorf("why it is limited: %d %+v", resp.StatusCode, why)
	}
	resp, _ = f.do(http.MethodGet, "/ace/v1/api-keys", "", "X-Api-Key", asker)
	if why := f.why(resp); resp.StatusCode != 403 || why.LimitedBy != "" {
		t.Errorf("what a key never had is limited by nothing: %d %+v", resp.StatusCode, why)
	}

	f.revoke(parentID)
	for _, id := range []string{childID, grandchildID} {
		if k := f.about(id); k.Status != "revoked" || k.Ended == nil || !strings.Contains(k.Ended.Reason, parentID) {
			t.Errorf("below a revoked key: %+v", k)
		}
	}
	if k := f.about(organizationID); k.Status != "active" {
		t.Errorf("the organization's key: %s", k.Status)
	}
}

func (f *fixture) post(t *testing.T, path string) {
	t.Helper()
	if resp, body := f.do(http.MethodPost, path, "", "X-Api-Key", f.admin.Reveal()); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
}
