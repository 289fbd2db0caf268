package dashboard

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// What the pages of API keys have in common, whether they are the cloud's own or those of a connection's server: the parts
// "new-key", "key-form" and "key-card".

type keyView struct {
	api.APIKey
	Path         string // of what is done with it
	Own          string // address where the connection is ended whose own key this is
	Alive        bool
	Reissue, End bool   // whether it can be given a new secret, and be disabled and revoked
	Rotation     string // the idempotency key of the form, so that a page sent again is the same rotation

	MadeWith     string // name, or else ID, of the key that it was made with
	MadeWithPath string
	Below        []keyView // those of the page that were made with it
}

// Who is the person that a personal key belongs to.
func (k keyView) Who() string { return cmp.Or(k.Subject, k.Owner) }

// State is the status as people read it.
func (k keyView) State() string { return strings.ReplaceAll(k.Status, "_", " ") }

// asTree puts each key below the one that it was made with; path leads to the page of a key.
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
	for _, k := range keys { // what a server says may lead in a circle
		if !placed[k.KeyID] {
			placed[k.KeyID] = true
			out = append(out, k)
		}
	}
	return out
}

// createdView is a new secret, shown this once.
type createdView struct {
	api.CreatedKey
	Done, How, Command string
}

type keyForm struct {
	Action   string
	Open     bool
	Wish     api.CreateKeyRequest
	Allow    string
	Kinds    []choiceOf
	Presets  []choiceOf
	Scopes   []choiceOf // none: they are typed
	Expiries []choiceOf
}

type choiceOf struct {
	Value, Meaning string
	Chosen         bool
}

// offer completes a form with what can be chosen; the first kind is the default one.
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

// keyFormOf reads a form that was sent; what it says stays in it where it is refused.
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

// keyPageView is one key, of the cloud or of a connection's server: what it is, what was made with it, and what its
// revocation ends.
type keyPageView struct {
	Frame   *frame // of the connection; nil: the cloud's own
	List    string // address of the list
	Key     keyView
	Tree    []keyNode
	Ends    endsView
	Unknown string // why what it ends is not known
}
