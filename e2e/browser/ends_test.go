package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/cloud/connections"
)

// mint makes a personal key with a client, and returns a client with it.
func mint(t *testing.T, with *apiclient.Server, at bridge.ServerURL, name string) (api.CreatedKey, *apiclient.Server) {
	t.Helper()
	key, err := with.CreateKey(t.Context(), api.CreateKeyRequest{Name: name, Lineage: "personal", Scopes: []string{"app:read", "key:*"}})
	if err != nil {
		t.Fatal(err)
	}
	return key, apiclient.NewServer(at, key.Key.Secret, api.ClientConfig{})
}

// What ends with what is said on pages that everybody can use, of a real server's keys.
func TestWhatEndsIsAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	ctx := t.Context()
	connection := w.Connect(w.Admin)
	w.Share(connection)
	credential, err := w.Admin.Credential(ctx, connection.ID)
	if err != nil {
		t.Fatal(err)
	}
	first, as := mint(t, apiclient.NewServer(connection.ServerURL, credential.Value.Secret, api.ClientConfig{}), connection.ServerURL, "nightly build")
	_, as = mint(t, as, connection.ServerURL, "release of the nightly build")
	mint(t, as, connection.ServerURL, "smoke test")
	if _, err := w.Operator.CreateKey(ctx, api.CreateKeyRequest{Name: "dashboards"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Member.Credential(ctx, connection.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Admin.Invite(ctx, "acme", api.NewInvitation{Role: "member", Email: "new@acme.test"}); err != nil {
		t.Fatal(err)
	}
	token, err := w.Member.CreateKey(ctx, api.CreateKeyRequest{Name: "laptop", Kind: "pat", Scopes: []string{"connection:read", "key:*"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Member.As(token.Key.Secret).CreateKey(ctx, api.CreateKeyRequest{Name: "editor", Kind: "pat", Scopes: []string{"connection:read"}}); err != nil {
		t.Fatal(err)
	}
	members, err := w.Admin.Members(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, m := range members {
		if m.Email == "member@acme.test" {
			id = m.ID
		}
	}
	page := "/connections/" + connection.ID
	says := func(words string) step {
		return eventually(`document.querySelector("main").innerText.includes("` + words + `")`)
	}

	o.run("sign in", signIn(o.base, "admin@acme.test"))
	o.at("keys on the server", page+"/keys", says("Made with nightly build"), says("Organization key"))
	o.at("key on the server", page+"/keys/"+first.KeyID, says("2 API keys: release of the nightly build, smoke test"), says("made with"))
	o.at("disconnect", page+"/delete", says("3 personal keys end for good"))
	o.at("removal", "/members/"+id+"/remove", says("2 personal access tokens: laptop, editor"))
	o.at("members", "/members")
	o.at("sharing", page+"/sharing?ask=off", says("What ends"))
	o.at("sharing limit", page+"/sharing?change="+id, choose(`.sharers select`, "nothing"), chromedp.Click(`.sharers form button`), chromedp.WaitVisible(`.sure`), says("Limit"))
	o.at("keys", "/keys", says("Made with laptop"))
	o.at("key", "/keys/"+token.KeyID, says("1 personal access token: editor"))
	if _, err := w.Admin.DisableKey(ctx, token.KeyID); err != nil {
		t.Fatal(err)
	}
	o.at("keys disabled", "/keys", says("parent disabled"))
	key := bridge.NewKey(bridge.KindLive, uuid.New()).Text().Disclose()
	alone, err := w.Admin.Register(ctx, api.RegisterRequest{ServerURL: "http://127.0.0.1:1", Name: "by hand", APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	o.at("owner only", "/connections/"+alone.ID, says("For its owner only"))
	o.at("owner only shared", "/connections/"+alone.ID+"/sharing")

	o.run("the removal", chromedp.Navigate(o.base+"/members/"+id+"/remove"), chromedp.WaitVisible(`.sure`), chromedp.Click(`input[name=sure]`),
		chromedp.Click(`.sure .destructive`), chromedp.WaitVisible(`.flash`))
	if k, err := w.Admin.Key(ctx, token.KeyID); err != nil || k.Status != "revoked" {
		t.Errorf("%+v %v", k, err)
	}
	if c, err := w.Admin.Connection(ctx, connection.ID); err != nil || c.Visibility != connections.Organization {
		t.Errorf("%+v %v", c, err)
	}
}

// Somebody who has signed up by an invitation has one page, until their address is proven.
func TestAddressesToConfirmAreAccessible(t *testing.T) {
	t.Parallel()
	o, w := newOnlooker(t)
	invitation, err := w.Admin.Invite(t.Context(), "acme", api.NewInvitation{Role: "member"})
	if err != nil {
		t.Fatal(err)
	}
	o.at("invitation", strings.TrimPrefix(invitation.URL.Reveal(), o.base))
	o.run("sign up", chromedp.SendKeys(`input[name=name]`, "Nora New"), chromedp.SendKeys(`input[name=email]`, "nora@acme.test"),
		chromedp.SendKeys(`input[name=password]`, "a long enough password\r"), chromedp.WaitVisible(`form[action="/confirm"]`))
	o.at("to confirm", "/connections")
	o.after("to confirm again", chromedp.Click(`button[value=resend]`), chromedp.WaitVisible(`.flash`))
}
