package servers

import (
	"context"
	"io"
	"net/http"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/upkeep"
)

// resolveCeiling returns the scopes that a preset of the connection's server stands for. Named scopes are checked against the
// server's catalogue if it can be read; if not, they are accepted as they are, and a preset is refused.
func (sv *Servers) resolveCeiling(ctx context.Context, p accounts.Principal, id string, wish api.Ceiling) (api.Ceiling, error) {
	if err := p.RequireScope("connection:share"); err != nil {
		return wish, err
	}
	if (wish.Preset == "") == (len(wish.Scopes) == 0) {
		return wish, bridge.E(bridge.Invalid, bridge.CodeCeilingMalformed, "give either a preset or scopes")
	}
	if _, err := bridge.NewScopes(wish.Scopes); err != nil {
		return wish, err
	}
	target, err := sv.upkeep.Target(ctx, p, id)
	if err != nil || !target.Ace {
		return wish, err // a plain key has no ceiling; cloud/connections refuses it
	}
	declared, err := sv.catalogueOf(ctx, target)
	switch {
	case err != nil && wish.Preset == "":
		return wish, nil //nolint:nilerr // scopes can do without the catalogue
	case err != nil:
		return wish, err
	}
	all := catalogue.Minter{Org: p.Org, Scopes: bridge.Scopes{"*"}, Admin: true} // unrestricted: a ceiling grants nothing
	scopes, err := declared.Grant(all, wish.Preset, wish.Scopes)
	if err != nil {
		return wish, hintAtServer(err, target.Server)
	}
	return api.Ceiling{Preset: wish.Preset, Scopes: scopes.Strings()}, nil
}

// hintAtServer names the server in a hint about where its scopes are listed.
func hintAtServer(err error, server bridge.ServerURL) error {
	if e := bridge.AsError(err); e.Code == bridge.CodeScopeUnknown {
		return e.WithHint("ace api-key scopes --server %s", server)
	}
	return err
}

// ReadPresets reads and stores the names of the presets of a connection's server, for forms.
func (sv *Servers) ReadPresets(ctx context.Context, p accounts.Principal, id string) error {
	if err := p.RequireScope("connection:share"); err != nil {
		return err
	}
	target, err := sv.upkeep.Target(ctx, p, id)
	if err != nil {
		return err
	}
	_, err = sv.catalogueOf(ctx, target)
	return err
}

// catalogueOf fetches the catalogue of a connection's server, and stores the names of its presets.
func (sv *Servers) catalogueOf(ctx context.Context, t upkeep.Target) (catalogue.Catalogue, error) {
	unread := func(cause string) (catalogue.Catalogue, error) {
		return catalogue.Catalogue{}, bridge.E(bridge.Unreachable, bridge.CodeCatalogueUnreadable,
			"the presets of %s cannot be read: %s", t.Server, cause).
			WithHint("name scopes instead: ace connections share %s --scope SCOPE (ace api-key scopes --server %s lists them, where it is reached)", t.ID, t.Server)
	}
	if t.Err != nil {
		return unread(bridge.AsError(t.Err).Detail)
	}
	resp, err := sv.ask(ctx, t, "/ace/v1/scopes")
	if err != nil {
		return unread(unreachable(err, t.Server).Cause)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return unread("it answers " + http.StatusText(resp.StatusCode))
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxCatalogue+1))
	if err != nil {
		return unread("its answer breaks off")
	}
	declared, err := parseCatalogue(raw)
	if err != nil {
		return unread(bridge.AsError(err).Detail)
	}
	return declared, sv.upkeep.KeepPresets(ctx, t, declared.Presets())
}
