package sso

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// LookupTXT looks up the TXT records of a name, like [net.Resolver.LookupTXT].
type LookupTXT func(ctx context.Context, name string) ([]string, error)

const (
	lookupTime    = 5 * time.Second
	maxTXTRecords = 100
)

// Mount adds the routes of signing in through a provider, and the API and the page for its settings.
func (so *SSO) Mount(e *echo.Echo) {
	e.GET("/login/provider", so.signInPage)
	e.POST("/login/provider", so.beginSignIn)
	e.GET("/login/callback/:org", so.finishSignIn)
	e.GET("/settings/provider", so.page.SignedIn(so.providerPage))
	e.POST("/settings/provider", so.page.SignedIn(so.changeProvider))
	e.GET("/v1/organizations/:org/provider", so.who.RequireScope("organization:update", so.getProvider))
	e.PUT("/v1/organizations/:org/provider", so.who.RequireScope("organization:update", so.putProvider))
	e.DELETE("/v1/organizations/:org/provider", so.who.RequireScope("organization:update", so.deleteProvider))
	e.POST("/v1/organizations/:org/provider/check", so.who.RequireScope("organization:update", so.checkProvider))
}

// provider returns an organization's settings in wire form, with the redirect URI to register.
func (so *SSO) provider(ctx context.Context, p accounts.Principal, org string) (api.Provider, error) {
	_, shown, err := so.signinProviders.Of(ctx, p, org)
	shown.RedirectURI = so.callbackURI(p.Org)
	return shown, err
}

func (so *SSO) getProvider(ctx echo.Context, p accounts.Principal) error {
	shown, err := so.provider(ctx.Request().Context(), p, ctx.Param("org"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, shown)
}

// setProvider stores the settings. On loopback, where nobody else can sign in, domains need no proof.
func (so *SSO) setProvider(ctx echo.Context, p accounts.Principal, org string, s api.ProviderSettings) error {
	return so.signinProviders.Set(ctx.Request().Context(), who.Caller(ctx, p), org, s, so.cfg.PublicURL.Loopback())
}

func (so *SSO) putProvider(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.ProviderSettings](ctx)
	if err != nil {
		return err
	}
	if err := so.setProvider(ctx, p, ctx.Param("org"), body); err != nil {
		return err
	}
	return so.getProvider(ctx, p)
}

func (so *SSO) deleteProvider(ctx echo.Context, p accounts.Principal) error {
	if err := so.signinProviders.Remove(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("org")); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

func (so *SSO) checkProvider(ctx echo.Context, p accounts.Principal) error {
	check, err := so.testProvider(ctx.Request().Context(), p, ctx.Param("org"), who.Actor(ctx, p))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, check)
}

// testProvider fetches the provider's metadata and looks for the proof of domains that are not verified.
func (so *SSO) testProvider(ctx context.Context, p accounts.Principal, org string, by audit.Actor) (api.ProviderCheck, error) {
	if err := so.logins.Allow("provider:" + p.OrgID); err != nil {
		return api.ProviderCheck{}, err
	}
	shown, err := so.provider(ctx, p, org)
	if err != nil {
		return api.ProviderCheck{}, err
	}
	failed := so.providers.test(ctx, shown.Issuer)
	for _, d := range shown.Domains {
		if d.VerifiedAt != nil {
			continue
		}
		err := so.proveDomain(ctx, p, d, by)
		if err != nil && who.Ours(err) {
			return api.ProviderCheck{}, err
		}
		if failed == nil {
			failed = err
		}
	}
	check := api.ProviderCheck{OK: failed == nil}
	if failed != nil {
		e := bridge.AsError(failed)
		check.Cause, check.Hint = e.Detail, e.Hint
	}
	check.Provider, err = so.provider(ctx, p, org)
	return check, err
}

// test discovers a provider again, ignoring the cache.
func (o *discovery) test(ctx context.Context, issuer string) error {
	o.known.Remove(issuer)
	ctx, cancel := o.step(ctx)
	defer cancel()
	_, err := o.find(ctx, issuer)
	return err
}

// proveDomain looks for the TXT record, which only someone who controls the domain can have added.
func (so *SSO) proveDomain(ctx context.Context, p accounts.Principal, d api.ProviderDomain, by audit.Actor) error {
	lookup, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	records, err := so.cfg.LookupTXT(lookup, d.Domain+".") // the dot keeps the resolver from appending its own domain
	if err != nil || !slices.Contains(records[:min(len(records), maxTXTRecords)], d.TXTRecord) {
		return bridge.E(bridge.Conflict, bridge.CodeDomainUnproven, "The domain %s has no TXT record with %s", d.Domain, d.TXTRecord).
			WithHint("add the record in the domain's DNS, wait until it can be seen, and test again").Because(err)
	}
	return so.signinProviders.DomainProven(ctx, p.As(by), d.Domain)
}

type providerView struct {
	Provider    api.Provider // zero if there is none
	Set         bool
	Dev         bool // domains need no proof
	Error       string
	Tested, OK  bool
	RedirectURI string
	Domains     string // one per line
	Groups      string // one per line: group = role
	Roles       []string
}

func (so *SSO) providerPage(ctx echo.Context, p accounts.Principal) error {
	if err := p.RequireScope("organization:update"); err != nil {
		return err
	}
	return so.renderProvider(ctx, http.StatusOK, p, providerView{})
}

// renderProvider shows the settings, or input that was rejected, so that it can be corrected.
func (so *SSO) renderProvider(ctx echo.Context, status int, p accounts.Principal, view providerView) error {
	shown, err := so.provider(ctx.Request().Context(), p, p.Org)
	if err != nil && bridge.AsError(err).Kind != bridge.NotFound {
		return err
	}
	view.Set = err == nil
	if view.Provider.Issuer == "" { // otherwise it holds rejected input, to be corrected
		view.Provider = shown
		view.Groups = groupLines(shown.GroupRoles)
		domains := make([]string, 0, len(shown.Domains))
		for _, d := range shown.Domains {
			domains = append(domains, d.Domain)
		}
		view.Domains = strings.Join(domains, "\n")
	}
	if !view.Set && view.Provider.Issuer == "" {
		view.Provider.DefaultRole = string(bridge.RoleMember)
	}
	view.RedirectURI, view.Dev = so.callbackURI(p.Org), so.cfg.PublicURL.Loopback()
	view.Roles = []string{string(bridge.RoleAdmin), string(bridge.RoleMember), string(bridge.RoleViewer)}
	return so.page.RenderSettings(ctx, p, status, "provider", "", view)
}

// groupLines formats the roles of groups for the form; see readGroupLines.
func groupLines(roles map[string]string) string {
	var b strings.Builder
	for _, group := range slices.Sorted(maps.Keys(roles)) {
		b.WriteString(group + " = " + roles[group] + "\n")
	}
	return b.String()
}

// readGroupLines parses lines of the form "group = role". The last "=" counts, since names of groups may contain one.
func readGroupLines(lines string) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		i := strings.LastIndexByte(line, '=')
		if i < 0 {
			return nil, bridge.E(bridge.Invalid, bridge.CodeGroupsMalformed, "a line of the groups is not of the form: group = role")
		}
		out[strings.TrimSpace(line[:i])] = strings.TrimSpace(line[i+1:])
	}
	return out, nil
}

// changeProvider handles the form of the settings: save, test or remove.
func (so *SSO) changeProvider(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	r := ctx.Request()
	switch r.PostForm.Get("action") {
	case "remove":
		if err := so.signinProviders.Remove(r.Context(), who.Caller(ctx, p), p.Org); err != nil {
			return err
		}
		return ctx.Redirect(http.StatusSeeOther, "/settings/provider")
	case "test":
		check, err := so.testProvider(r.Context(), p, p.Org, who.Actor(ctx, p))
		if err != nil {
			return err
		}
		view := providerView{Tested: true, OK: check.OK}
		if !check.OK {
			view.Error = page.Sentence(&bridge.Error{Detail: check.Cause, Hint: check.Hint})
		}
		return so.renderProvider(ctx, http.StatusOK, p, view)
	case "save":
		return so.saveProvider(ctx, p)
	}
	return bridge.E(bridge.Invalid, bridge.CodeFormMalformed, "the form does not say what to do")
}

// saveProvider stores the settings from the form. A client secret that is left empty stays as it is.
func (so *SSO) saveProvider(ctx echo.Context, p accounts.Principal) error {
	v := ctx.Request().PostForm
	settings := api.ProviderSettings{Issuer: strings.TrimSpace(v.Get("issuer")), ClientID: strings.TrimSpace(v.Get("client_id")),
		Domains: strings.Fields(v.Get("domains")), DefaultRole: v.Get("default_role"), GroupsClaim: strings.TrimSpace(v.Get("groups_claim")),
		Required: v.Get("required") == "yes"}
	if secret := strings.TrimSpace(v.Get("client_secret")); secret != "" {
		disclosed := bridge.NewSecret(secret).Disclose()
		settings.ClientSecret = &disclosed
	}
	var err error
	if settings.GroupRoles, err = readGroupLines(v.Get("groups")); err == nil {
		err = so.setProvider(ctx, p, p.Org, settings)
	}
	if err == nil {
		return ctx.Redirect(http.StatusSeeOther, "/settings/provider")
	}
	e := bridge.AsError(err)
	if who.Ours(e) {
		return err
	}
	return so.renderProvider(ctx, api.Status(err), p, providerView{Error: page.Sentence(e), Domains: v.Get("domains"), Groups: v.Get("groups"),
		Provider: api.Provider{Issuer: settings.Issuer, ClientID: settings.ClientID, DefaultRole: settings.DefaultRole,
			GroupsClaim: settings.GroupsClaim, Required: settings.Required}})
}
