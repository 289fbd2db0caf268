package sso_test

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/internal/roomtest"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/sso"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is signing in through a provider alone, over the stores.
type fixture struct {
	*roomtest.Fixture
	changed atomic.Int32 // how often the relay was told that access may have changed
}

func start(t *testing.T, dsn string) *fixture {
	t.Helper()
	return startWith(t, dsn, "", nil)
}

// startWith starts with another public URL than the server's, and DNS of the test's own, where they are given.
func startWith(t *testing.T, dsn string, url bridge.ServerURL, dns sso.LookupTXT) *fixture {
	t.Helper()
	f := &fixture{Fixture: roomtest.New(t, dsn, url)}
	f.serve(slog.DiscardHandler, dns)
	return f
}

func (f *fixture) serve(log slog.Handler, dns sso.LookupTXT) {
	rules := outbound.Rules{Loopback: f.URL.Loopback()}
	room := sso.New(sso.Config{PublicURL: f.URL, Outbound: rules.Client(), ProviderTime: time.Second, LookupTXT: dns, Page: f.Page, Who: f.Who,
		Providers: f.Providers, Logins: f.Limits.Logins, Tokens: api.NewLimiter(100*time.Millisecond, 300, 1000, f.Clock),
		AccessChanged: func() { f.changed.Add(1) }, Now: f.Clock}, slog.New(log))
	f.Serve(roomtest.Room{Log: log, Mount: func(e *echo.Echo) {
		room.Mount(e)
		e.POST("/v1/developer-tokens", f.Who.RequirePerson(func(ctx echo.Context, p accounts.Principal) error {
			token, err := f.Who.DeveloperToken(ctx, p)
			if err != nil {
				return err
			}
			return ctx.JSON(http.StatusCreated, token)
		}))
	}})
}

// withProvider is a cloud whose organization acme signs its people in through a provider.
func withProvider(t *testing.T, dsn string, method jwt.SigningMethod) (*fixture, *fakeProvider) {
	t.Helper()
	f := start(t, dsn)
	p := newFakeProvider(t, f, method)
	if set, err := f.setProvider(p.settings()); err != nil || set.RedirectURI != f.Server+"/login/callback/acme" || !set.HasSecret {
		t.Fatalf("%+v %v", set, err)
	}
	return f, p
}
