package cloud_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
)

// A page says what a change would end, and ends nothing until the person confirms.
func TestPagesSayWhatEnds(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	ctx, ann := t.Context(), f.client()
	id, token := f.join("bob@acme.test", bridge.RoleMember)
	bob := f.as(token)
	s, c, _ := f.keysServer()
	if _, err := ann.Patch(ctx, c.ID, api.ConnectionPatch{Visibility: new(connections.Organization)}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Credential(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	laptop := f.key(bob, api.CreateKeyRequest{Name: "laptop", Kind: "pat", Scopes: []string{"connection:read", "key:*"}})
	child := f.key(f.as(laptop.Key.Secret), api.CreateKeyRequest{Name: "child <b>", Kind: "pat", Scopes: []string{"connection:read"}})
	s.madeOn(c, personalKey("bob's ci", "bob@acme.test"), personalKey("ann's", "ann@acme.test"))
	cookie, path := f.signIn(), "/connections/"+c.ID
	says := func(what, page string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("%s: no %q in\n%s", what, w, page)
			}
		}
	}
	post := func(at string, form url.Values, status int) string {
		t.Helper()
		resp, page := f.post(at, cookie, form)
		if resp.StatusCode != status {
			t.Errorf("%s %v: %d", at, form, resp.StatusCode)
		}
		return page
	}

	says("disconnect", f.page(path+"/delete", cookie), "2 people lose access at once, you among them", "1 person or program loses its access tokens: bob@acme.test",
		"2 personal keys end for good: bob&#39;s ci (bob@acme.test), ann&#39;s (ann@acme.test)", `action="`+path+`/delete"`)
	says("removal", f.page("/members/"+id+"/remove", cookie), "2 personal access tokens: laptop, child &lt;b&gt;", "1 session", "1 personal key ends for good: bob&#39;s ci")
	says("unsharing", f.page(path+"/sharing?ask=off", cookie), "loses access", "1 personal key ends for good: bob&#39;s ci")
	nothing := url.Values{"to": {"none"}}
	says("a limit", post(path+"/sharing/members/"+id, nothing, http.StatusOK), "Limit bob", "1 personal key ends for good", `name="to" value="none"`)
	scopes := url.Values{"to": {"scopes"}, "scopes": {"app:read"}}
	says("a ceiling", post(path+"/sharing/ceiling", scopes, http.StatusOK), "1 personal key goes on with less than now", `name="scopes" value="app:read"`)
	says("a role", post("/members/"+id+"/role", url.Values{"role": {"viewer"}}, http.StatusOK), "Give bob the role viewer", "1 personal key goes on with less than now", `name="role" value="viewer"`)
	post("/members/"+id+"/role", url.Values{"role": {"admin"}}, http.StatusSeeOther) // more rights need no confirmation
	post("/members/"+id+"/role", url.Values{"role": {"member"}, "sure": {"yes"}}, http.StatusSeeOther)
	if _, err := bob.Credential(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	s.set("GET /ace/v1/api-keys/"+c.KeyID+"/ends", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	says("a server that is not there", f.page("/members/"+id+"/remove", cookie), "Personal keys end for good, if any were made by: bob@acme.test", "is not known", "as soon as it answers")

	// A key's page shows what it is, and the tree.
	page := f.page("/keys/"+laptop.KeyID, cookie)
	says("a token", page, "Personal access token", "of bob@acme.test", `href="/keys/`+child.KeyID+`"`, "1 personal access token: child &lt;b&gt;", `action="/keys/`+laptop.KeyID+`/revoke"`)
	says("its child", f.page("/keys/"+child.KeyID, cookie), `made with <a href="/keys/`+laptop.KeyID+`">laptop</a>`, "Nothing was made with it")
	says("the list", f.page("/keys", cookie), "Made with laptop")
	if _, err := ann.DisableKey(ctx, laptop.KeyID); err != nil {
		t.Fatal(err)
	}
	says("the child of a disabled key", f.page("/keys/"+child.KeyID, cookie), "parent disabled", "a key above it is disabled")
	eve := f.member("eve@acme.test", bridge.RoleMember)
	if _, err := eve.Me(ctx); err != nil {
		t.Fatal(err)
	}
	if resp, _ := f.do("GET", "/keys/"+laptop.KeyID, "", "Cookie", f.signInAs("eve@acme.test")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another member sees the key: %d", resp.StatusCode)
	}

	// None of that has ended anything; this does.
	if sharing, err := ann.Sharing(ctx, c.ID); err != nil || sharing.Visibility != connections.Organization || sharing.Ceiling != nil {
		t.Fatalf("%+v %v", sharing, err)
	}
	for _, form := range []url.Values{nothing, scopes} {
		form.Set("sure", "yes")
	}
	post(path+"/sharing/ceiling", scopes, http.StatusSeeOther)
	post(path+"/sharing/members/"+id, nothing, http.StatusSeeOther)
	post("/members/"+id+"/remove", url.Values{"sure": {"yes"}}, http.StatusSeeOther)
	if k, err := ann.Key(ctx, child.KeyID); err != nil || k.Status != "revoked" {
		t.Errorf("%+v %v", k, err)
	}
}

// The page of a server's key shows the server's answer as text, each key once, even if the tree has loops.
func TestServerKeyPage(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	s, c, listed := f.keysServer()
	path, cookie := "/connections/"+c.ID+"/keys/", f.signIn()
	listed.Lineage, listed.Subject, listed.Parent = "personal", "bob@acme.test", c.KeyID
	s.set("GET /ace/v1/api-keys/"+listed.KeyID, answer(http.StatusOK, listed))
	s.set("GET /ace/v1/api-keys/"+c.KeyID, answer(http.StatusOK, api.APIKey{KeyID: c.KeyID, Name: "the connection", Kind: "sk", Status: "active"}))
	one, two := personalKey("one <i>", "bob@acme.test"), personalKey("two", "bob@acme.test")
	one.Parent, two.Parent = listed.KeyID, one.ID
	circle := one
	circle.Parent = two.ID
	var ends api.Ends
	ends.Add(api.EndingOf(listed), one, two, circle, api.Ending{ID: `"><script>`, Parent: listed.KeyID})
	s.set("GET /ace/v1/api-keys/"+listed.KeyID+"/ends", answer(http.StatusOK, ends))
	page := f.page(path+listed.KeyID, cookie)
	for _, want := range []string{"<strong>Personal key", `of bob@acme.test, made with <a href="` + path + c.KeyID + `">the connection</a>`,
		`<a href="` + path + one.ID + `">one &lt;i&gt;</a>`, `<a href="` + path + two.ID + `">two</a>`, `action="` + path + listed.KeyID + `/revoke"`} {
		if strings.Count(page, want) != 1 {
			t.Errorf("%d of %q in\n%s", strings.Count(page, want), want, page)
		}
	}
	if strings.Contains(page, "<i>") || strings.Contains(page, `"><script>`) {
		t.Errorf("what the server says is not text:\n%s", page)
	}
	s.set("GET /ace/v1/api-keys/"+listed.KeyID+"/ends", http.NotFound)
	if page := f.page(path+listed.KeyID, cookie); !strings.Contains(page, "What else ends is not known") {
		t.Errorf("of a server that does not say:\n%s", page)
	}
	if resp, _ := f.do("GET", path+uuid.NewString(), "", "Cookie", cookie); resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusInternalServerError {
		t.Errorf("a key that is not there: %d", resp.StatusCode)
	}
	s.set("GET /ace/v1/api-keys", answer(http.StatusOK, api.List[api.APIKey]{Items: []api.APIKey{listed, {KeyID: c.KeyID, Name: "the connection", Kind: "sk", Status: "active", Parent: listed.KeyID}}}))
	if page := f.page("/connections/"+c.ID+"/keys", cookie); strings.Count(page, `id="key-`) != 2 {
		t.Errorf("a circle of parents:\n%s", page)
	}
}

// A connection whose key cannot act for others says so, and what to do.
func TestOwnerOnlyOnPages(t *testing.T) {
	f := start(t, sqldbtest.SQLite(t))
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Disclose()
	c, err := f.client().Register(t.Context(), api.RegisterRequest{ServerURL: "https://ace.test", APIKey: &key})
	if err != nil || !c.OwnerOnly {
		t.Fatalf("%+v %v", c, err)
	}
	cookie := f.signIn()
	for _, path := range []string{"", "/sharing"} {
		if page := f.page("/connections/"+c.ID+path, cookie); !strings.Contains(page, "ace api-key create --for-connection") || strings.Contains(page, `/sharing/on"`) {
			t.Errorf("%q:\n%s", path, page)
		}
	}
	_, shared := f.behind(func(http.ResponseWriter, *http.Request) {})
	if page := f.page("/connections/"+shared.ID, cookie); strings.Contains(page, "--for-connection") {
		t.Errorf("another connection:\n%s", page)
	}
}
