package cloud_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// madeOn answers with what was made with a connection's key.
func (s *keysServer) madeOn(c api.Connection, made ...api.Ending) {
	var ends api.Ends
	ends.Add(api.Ending{Kind: api.EndsConnectionKey, Fate: api.FateEnds, ID: c.KeyID})
	ends.Add(made...)
	s.set("GET /ace/v1/api-keys/"+c.KeyID+"/ends", answer(http.StatusOK, ends))
}

func personalKey(name, owner string) api.Ending {
	return api.Ending{Kind: api.EndsAPIKey, Fate: api.FateEnds, ID: uuid.NewString(), Name: name, Owner: owner, Lineage: "personal"}
}

// The API says what a change would end, here and on servers, only to those who may make it.
func TestEndsOverTheAPI(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ctx, ann := t.Context(), f.client()
	bob := f.member("bob@acme.test", bridge.RoleMember)
	me, err := bob.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, c, _ := f.keysServer()
	if _, err := ann.Patch(ctx, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Credential(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	pat := f.key(bob, api.CreateKeyRequest{Name: "laptop", Kind: "pat", Preset: "connect"})
	s.madeOn(c, personalKey("bob's ci", "bob@acme.test"), personalKey("ann's", "ann@acme.test"))
	one := func(what string, ends api.Ends, err error, total int, fate string, onServer ...string) {
		t.Helper()
		if err != nil || ends.Total != total || len(ends.Servers) != min(len(onServer), 1) {
			t.Fatalf("%s: %+v (%v)", what, ends, err)
		}
		var names []string
		for _, server := range ends.Servers {
			if server.Status != api.ServerAsked || server.Total != len(onServer) || server.More {
				t.Errorf("%s: %+v", what, server)
			}
			for _, item := range server.Items {
				if names = append(names, item.Name); item.Fate != fate {
					t.Errorf("%s: %+v", what, item)
				}
			}
		}
		if !slices.Equal(names, onServer) {
			t.Errorf("%s: on the server %v, want %v", what, names, onServer)
		}
	}

	ends, err := ann.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{})
	one("disconnect", ends, err, 3, api.FateEnds, "bob's ci", "ann's")
	if ends.Counts[api.EndsConnectionKey] != 1 || ends.Counts[api.EndsAccessToken] != 1 || !ends.Servers[0].All {
		t.Errorf("disconnect: %+v", ends)
	}
	ends, err = ann.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
	one("unshare", ends, err, 1, api.FateEnds, "bob's ci")
	ends, err = ann.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{Ceiling: api.CeilingPatch{Given: true, To: &api.Ceiling{Scopes: []string{"app:read"}}}})
	one("a ceiling", ends, err, 1, api.FateLimited, "bob's ci")
	if got := ends.Servers[0].Subjects; len(got) != 1 || !slices.Equal(got[0].Scopes, []string{"app:read"}) || got[0].Role != "member" {
		t.Errorf("a ceiling: %+v", got)
	}
	ends, err = ann.EndsOfLimit(ctx, c.ID, me.ID, api.MemberLimit{Access: connections.AccessNone})
	one("nothing for one", ends, err, 1, api.FateEnds, "bob's ci")
	ends, err = ann.EndsOfMember(ctx, "acme", me.ID, "viewer")
	one("a role", ends, err, 1, api.FateLimited, "bob's ci")
	ends, err = ann.EndsOfMember(ctx, "acme", me.ID, "")
	one("a removal", ends, err, 3, api.FateEnds, "bob's ci") // the session of the developer token, the token, the access token
	if ends.Counts[api.EndsSession] != 1 || ends.Counts[api.EndsPersonalAccessToken] != 1 || ends.Items[0].ID != pat.KeyID || ends.Items[0].Owner != "bob@acme.test" {
		t.Errorf("a removal: %+v", ends)
	}
	s.set("GET /ace/v1/api-keys", answer(http.StatusOK, api.List[api.APIKey]{Items: []api.APIKey{
		{KeyID: uuid.NewString(), Name: "of old", Lineage: "personal", Subject: "bob@acme.test", ParentUnknown: true},
		{KeyID: uuid.NewString(), Name: "another's", Lineage: "personal", Subject: "ann@acme.test", ParentUnknown: true},
		{KeyID: uuid.NewString(), Name: "with a parent", Lineage: "personal", Subject: "bob@acme.test"}}}))
	ends, err = ann.EndsOfMember(ctx, "acme", me.ID, "")
	one("a removal, and a key whose parent is not known", ends, err, 3, api.FateEnds, "bob's ci", "of old")
	ends, err = ann.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{})
	one("disconnect, which is no withdrawal", ends, err, 4, api.FateEnds, "bob's ci", "ann's") // by now the one who asks has a token there, too
	ends, err = ann.KeyEnds(ctx, pat.KeyID)
	one("a token", ends, err, 1, "")

	// A server that does not answer decides by itself, and one that knows no such question is not misread.
	s.set("GET /ace/v1/api-keys/"+c.KeyID+"/ends", http.NotFound)
	if ends, err := ann.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{}); err != nil || ends.Servers[0].Status != api.ServerUndecided || ends.Servers[0].Cause == "" {
		t.Errorf("a server of another version: %+v (%v)", ends, err)
	}
	s.Close()
	if ends, err := ann.EndsOfMember(ctx, "acme", me.ID, ""); err != nil || len(ends.Servers) != 1 || ends.Servers[0].Status != api.ServerUnreachable ||
		ends.Servers[0].Cause == "" || ends.Servers[0].Subjects[0].Subject != "bob@acme.test" {
		t.Errorf("a server that is down: %+v (%v)", ends, err)
	}

	_, err = bob.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{})
	wantCode(t, "a member, about a connection that is not theirs", err, "not_owner")
	_, err = bob.EndsOfConnection(ctx, c.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
	wantCode(t, "a member, about unsharing", err, "share_admin")
	_, err = bob.EndsOfLimit(ctx, c.ID, me.ID, api.MemberLimit{Access: connections.AccessNone})
	wantCode(t, "a member, about a limit", err, "role_admin")
	annMe, _ := ann.Me(ctx)
	_, err = bob.EndsOfMember(ctx, "acme", annMe.ID, "")
	wantCode(t, "a member, about somebody else", err, "role_admin")
	_, err = ann.EndsOfMember(ctx, "rival", me.ID, "")
	wantCode(t, "another organization", err, "organization_unknown")
	_, err = bob.KeyEnds(ctx, f.key(ann, api.CreateKeyRequest{Name: "ci", Preset: "connect"}).KeyID)
	wantCode(t, "a member, about a key that they do not see", err, "key_unknown")
	if list, err := ann.Connections(ctx); err != nil || len(list) != 1 {
		t.Errorf("asking has ended something: %v (%v)", list, err)
	}
}

// A change's ends on a connection that the caller does not see are reported without its name and address.
func TestEndsKeepPrivateConnections(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ctx, ann := t.Context(), f.client()
	bob := f.member("bob@acme.test", bridge.RoleMember)
	me, err := bob.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindSK, uuid.New()).Text().Disclose()
	c, err := bob.Register(ctx, api.RegisterRequest{Name: "bob's secret project", ServerURL: "http://127.0.0.1:1", APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Credential(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	ends, err := ann.EndsOfMember(ctx, "acme", me.ID, "viewer")
	if err != nil || ends.Counts[api.EndsAccessToken] != 1 || len(ends.Servers) != 1 {
		t.Fatalf("a role: %+v (%v)", ends, err)
	}
	for _, item := range ends.Items {
		if item.Name == c.Name {
			t.Errorf("an admin is told the name of a private connection: %+v", item)
		}
	}
	if s := ends.Servers[0]; s.Name == c.Name || s.ServerURL == c.ServerURL || s.Status == api.ServerAsked {
		t.Errorf("an admin is told where a private connection leads: %+v", s)
	}
	// A removal hands it to the admins.
	if ends, err = ann.EndsOfMember(ctx, "acme", me.ID, ""); err != nil || len(ends.Servers) != 1 || ends.Servers[0].Name != c.Name {
		t.Errorf("a removal: %+v (%v)", ends, err)
	}
}
