package dashboard

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// keyView is a key on a page, of the cloud or of a connection's server (template part "key-card").
type keyView struct {
	api.APIKey
	Path         string // of its page, and of the forms that change it
	Own          string // where to disconnect, if this is the connection's own key
	Alive        bool
	Reissue, End bool   // whether it can get a new secret; whether it can be disabled and revoked
	Rotation     string // idempotency key: a form sent twice rotates once

	MadeWith     string // name or ID of the key it was made with
	MadeWithPath string
	Below        []keyView // keys on this page that were made with it
}

// Who returns the person that a personal key belongs to.
func (k keyView) Who() string { return cmp.Or(k.Subject, k.Owner) }

// State returns the status in words.
func (k keyView) State() string { return strings.ReplaceAll(k.Status, "_", " ") }

// asTree puts each key below the one it was made with. A key's page is at path and its ID.
func asTree(keys []keyView, path string) []keyView {
	names, below := map[string]string{}, map[string][]keyView{}
	for _, k := range keys {
		names[k.KeyID] = k.Name
	}
	for _, k := range keys {
		parent := k.Parent
		if parent != "" {
			k.MadeWith, k.MadeWithPath = cmp.Or(names[parent], parent), path+parent
		}
		if names[parent] == "" || parent == k.KeyID {
			parent = ""
		}
		below[parent] = append(below[parent], k)
	}
	placed := map[string]bool{}
	var grow func(parent string) []keyView
	grow = func(parent string) (out []keyView) {
		for _, k := range below[parent] {
			if !placed[k.KeyID] {
				placed[k.KeyID] = true
				k.Below = grow(k.KeyID)
				out = append(out, k)
			}
		}
		return out
	}
	out := grow("")
	for _, k := range keys { // a server's answer may be circular
		if !placed[k.KeyID] {
			placed[k.KeyID] = true
			out = append(out, k)
		}
	}
	return out
}

// createdView is a new secret, which is shown only once.
type createdView struct {
	api.CreatedKey
	Done, How, Command string
}

// keyForm is the form that creates a key (template parts "new-key" and "key-form").
type keyForm struct {
	Action   string
	Open     bool
	Wish     api.CreateKeyRequest
	Allow    string
	Kinds    []choiceOf
	Presets  []choiceOf
	Scopes   []choiceOf // empty: scopes are typed
	Expiries []choiceOf
}

type choiceOf struct {
	Value, Meaning string
	Chosen         bool
}

// offer completes a form with its choices; the first kind is the default.
func (f keyForm) offer(action string, kinds, presets, scopes []choiceOf, never bool) keyForm {
	f.Action, f.Kinds, f.Presets, f.Scopes = action, kinds, presets, scopes
	chosen := 0
	for i, kind := range f.Kinds {
		if kind.Value == f.Wish.Kind {
			chosen = i
		}
	}
	for i := range f.Kinds {
		f.Kinds[i].Chosen = i == chosen
	}
	for i := range f.Presets {
		f.Presets[i].Chosen = f.Presets[i].Value == f.Wish.Preset
	}
	f.Expiries = []choiceOf{{"7d", "in 7 days", false}, {"30d", "in 30 days", false}, {"90d", "in 90 days", true}, {"365d", "in a year", false}}
	if never {
		f.Expiries = append(f.Expiries, choiceOf{"never", "never", false})
	}
	return f
}

// keyFormOf reads a form that was sent. If it is refused, the page shows it again as it was filled in.
func keyFormOf(r *http.Request) (keyForm, error) {
	sent := r.PostForm
	separator := func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }
	var scopes []string
	for _, text := range sent["scope"] {
		scopes = append(scopes, strings.FieldsFunc(text, separator)...)
	}
	out := keyForm{Open: true, Allow: sent.Get("allow_from"), Wish: api.CreateKeyRequest{
		Name: sent.Get("name"), Description: sent.Get("description"), Kind: sent.Get("kind"), Preset: sent.Get("preset"), Scopes: scopes,
		ExpiresIn: cmp.Or(sent.Get("expires_on"), sent.Get("expires_in")), Rate: sent.Get("rate"),
		AllowFrom: strings.FieldsFunc(sent.Get("allow_from"), separator),
	}}
	if text := sent.Get("max_uses"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return out, bridge.E(bridge.Invalid, bridge.CodeMaxUses, "the number of uses is not a number above 0")
		}
		out.Wish.MaxUses = n
	}
	return out, nil
}

// keyPageView is the page of one key: what it is, what was made with it, and what its revocation ends.
type keyPageView struct {
	Frame   *frame // of the connection; nil: a key of the cloud
	List    string // address of the list
	Key     keyView
	Tree    []keyNode
	Ends    endsView
	Unknown string // why it is not known what it ends
}
