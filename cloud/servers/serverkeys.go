package servers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/who"
)

// Bounds on what a server may cost when it is asked for its API keys. Its answers are not trusted.
const (
	ServerTime      = 5 * time.Second // for everything that one page asks
	maxServerAnswer = 1 << 20         // bytes
	maxCatalogue    = 128 << 10       // bytes of its catalogue
	maxServerKeys   = 50              // per page
	maxServerScopes = 20              // shown per key
	MaxServerChoice = 200             // presets and scopes in a form
	maxServerText   = 200             // characters per text
	MaxServerCursor = 500             // bytes
)

var errNoKeyAPI = bridge.E(bridge.Conflict, bridge.CodeServerPlain, "the connection has no key of an ace server").
	WithHint("if it is one, connect it again: ace connect --server URL")

// ServerClient returns a client that calls a connection's server as a member who may use it.
//
// It has an access token that names the member and has only the scopes that they have: the same access terms, and the same
// rules about what may be called, as with the relay.
func (sv *Servers) ServerClient(ctx echo.Context, p accounts.Principal, id string) (*apiclient.Server, error) {
	terms, err := sv.accessTokens.Relay(ctx.Request().Context(), who.Caller(ctx, p), id)
	if err != nil {
		return nil, err
	}
	if terms.Credential.Type != "access_token" || sv.who.IsOwnOrigin(terms.Server.Origin()) {
		return nil, errNoKeyAPI
	}
	return apiclient.NewServer(terms.Server, terms.Credential.Value.Secret, api.ClientConfig{UserAgent: "ace-cloud/" + sv.cfg.Version,
		Transport: sv.way(id, terms.Server), Timeout: ServerTime, MaxAnswer: maxServerAnswer}), nil
}

// ServerKeys is what a server says about its keys, and about what the caller may do with them.
type ServerKeys struct {
	Keys      []api.APIKey
	Next      string
	May       bridge.Scopes // the caller's scopes there; nil: not known
	Declared  catalogue.Catalogue
	Catalogue bool // Declared was read
}

// ReadServerKeys asks a server for all of that at once. It fails only if the list of keys is not answered.
func ReadServerKeys(ctx context.Context, client *apiclient.Server, cursor string) (ServerKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, ServerTime)
	defer cancel()
	var out ServerKeys
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		var list api.List[api.APIKey]
		if list, failed = client.KeysPage(ctx, cursor, maxServerKeys); failed == nil {
			out.Keys, out.Next = tidyKeys(list)
		} else {
			cancel()
		}
	})
	wg.Go(func() {
		if me, err := client.Me(ctx); err == nil {
			out.May, _ = bridge.NewScopes(me.Scopes)
		}
	})
	wg.Go(func() {
		if raw, err := client.Scopes(ctx); err == nil {
			out.Declared, err = parseCatalogue(raw)
			out.Catalogue = err == nil
		}
	})
	wg.Wait()
	return out, failed
}

// parseCatalogue parses a server's catalogue; its errors are in our own words.
func parseCatalogue(raw []byte) (catalogue.Catalogue, error) {
	if len(raw) > maxCatalogue {
		return catalogue.Catalogue{}, bridge.E(bridge.Invalid, bridge.CodeCatalogueInvalid, "its catalogue is larger than %d KiB",
			maxCatalogue>>10)
	}
	declared, err := catalogue.Parse(raw)
	if err != nil { // in our own words
		return catalogue.Catalogue{}, bridge.E(bridge.Invalid, bridge.CodeCatalogueInvalid,
			"its answer is not a catalogue").Because(err)
	}
	return declared, nil
}

// Can reports whether the caller may, or might, do something with keys that needs a scope.
func (s ServerKeys) Can(scope bridge.Scope) bool { return s.May == nil || s.May.Covers(scope) }

// tidyKeys bounds a list of keys and all texts in it.
func tidyKeys(list api.List[api.APIKey]) (keys []api.APIKey, next string) {
	for _, k := range list.Items[:min(len(list.Items), maxServerKeys)] {
		if tidy, ok := TidyKey(k); ok {
			keys = append(keys, tidy)
		}
	}
	if bridge.PlainText(list.NextCursor, MaxServerCursor) {
		next = list.NextCursor
	}
	return keys, next
}

// TidyKey bounds all texts of a key from a server; ok is false if its ID is not valid.
func TidyKey(k api.APIKey) (api.APIKey, bool) {
	id, err := uuid.Parse(k.KeyID)
	if err != nil {
		return api.APIKey{}, false
	}
	k.KeyID = id.String()
	for _, text := range []*string{&k.Prefix, &k.Kind, &k.Name, &k.Description, &k.Owner, &k.Org, &k.Status, &k.CreatedBy, &k.Rate,
		&k.Lineage, &k.Subject, &k.Parent} {
		*text = Shown(*text)
	}
	k.Name = cmp.Or(k.Name, k.KeyID)
	k.Scopes, k.AllowFrom = shownAll(k.Scopes), shownAll(k.AllowFrom)
	if parent, err := uuid.Parse(k.Parent); err != nil {
		k.Parent = ""
	} else {
		k.Parent = parent.String()
	}
	if k.StatusCause != nil {
		id, _ := uuid.Parse(k.StatusCause.KeyID)
		k.StatusCause = &api.KeyCause{KeyID: id.String(), Status: Shown(k.StatusCause.Status)}
	}
	if k.Limit != nil {
		k.Limit = &api.KeyLimit{Scopes: shownAll(k.Limit.Scopes), Role: bridge.Role(Shown(string(k.Limit.Role)))}
	}
	if k.LastUsed != nil {
		k.LastUsed.Address = Shown(k.LastUsed.Address)
	}
	if k.Disabled != nil {
		k.Disabled.By = Shown(k.Disabled.By)
	}
	if k.Ended != nil {
		k.Ended.Reason, k.Ended.By = Shown(k.Ended.Reason), Shown(k.Ended.By)
	}
	return k, true
}

// TidyCreated checks and bounds a new secret from a server.
//
// It must be a secret of the key with this ID, or of any key if id is empty.
func TidyCreated(created api.CreatedKey, id string) (api.CreatedKey, error) {
	tidy, ok := TidyKey(created.APIKey)
	key, err := bridge.ParseKey(created.Key.Secret)
	if !ok || err != nil || key.ID.String() != tidy.KeyID || (id != "" && id != tidy.KeyID) {
		return api.CreatedKey{}, bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected,
			"the server answered with something other than the requested key")
	}
	return api.CreatedKey{Key: key.Text().Disclose(), APIKey: tidy}, nil
}

// Shown makes a text from outside fit for a page.
//
// The result is printable, on one line, without backquotes (which mark commands) and at most 200 characters long.
func Shown(text string) string {
	var out strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > maxServerText {
			out.WriteRune('…')
			break
		}
		switch {
		case r == '`':
			r = '\''
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r):
			continue
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}

// shownAll is Shown for a list, of which it keeps the first few.
func shownAll(texts []string) []string {
	out := make([]string, 0, min(len(texts), maxServerScopes))
	for _, text := range texts[:min(len(texts), maxServerScopes)] {
		out = append(out, Shown(text))
	}
	if len(texts) > maxServerScopes {
		out = append(out, "…")
	}
	return out
}

// ServerError says in our own words why a connection's server did not do what it was asked.
//
// Anything that the server itself said is quoted.
func ServerError(err error, server bridge.ServerURL) *bridge.Error {
	e := bridge.AsError(err)
	said := func(text string) string {
		if detail := Shown(e.Detail); detail != "" && !e.Code.OfStatus() {
			return text + ": “" + strings.TrimSuffix(detail, ".") + "”"
		}
		return text
	}
	fail := func(kind bridge.Kind, code bridge.Code, detail string) *bridge.Error {
		return bridge.E(kind, code, "%s", detail).Because(err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fail(bridge.Unreachable, bridge.CodeServerUnreachable, "the server does not answer in time").
			WithHint("check that it runs and that no firewall drops its traffic")
	case e.Kind == bridge.Unreachable:
		status := unreachable(err, server)
		return fail(bridge.Unreachable, bridge.CodeServerUnreachable, status.Cause).WithHint("%s", status.Hint)
	case e.Code == bridge.CodeAnswerUnexpected || e.Code == bridge.CodeRedirected || e.Code == bridge.CodeOfStatus(http.StatusNotFound):
		return fail(bridge.Unreachable, bridge.CodeServerUnexpected, "what answers at the URL does not speak the API of an ace server").
			WithHint("check the URL, and that the server is of the same version as this cloud")
	case e.Kind == bridge.Unauthenticated:
		return fail(bridge.Conflict, bridge.CodeServerUnauthorized, "the server does not accept the connection's key any more").
			WithHint("%s", bridge.ConnectAgain(server))
	case e.Kind == bridge.Forbidden:
		return fail(bridge.Forbidden, bridge.CodeServerForbidden, said("the server does not let you do that")).
			WithHint("what you may do there is limited by your role, by the connection's key and by its ceiling")
	case e.Kind == bridge.Internal || e.Kind == bridge.Unavailable:
		return fail(bridge.Unreachable, bridge.CodeServerFailed,
			"the server answers with an error").WithHint("look at the server's log")
	}
	return fail(e.Kind, bridge.CodeServerRefused, said("the server refuses that"))
}
