package storetest

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/addresses"
)

// NewAuthority opens the cloud's own keys beside the registry, as the cloud does.
func (f *Fixture) NewAuthority() *keys.Authority {
	f.T.Helper()
	a, err := keys.New(f.T.Context(), f.SQL, keys.Config{Servers: []bridge.ServerURL{f.URL}, Catalogue: accounts.Scopes, Personal: true, Now: f.Clock},
		slog.New(slog.DiscardHandler))
	if err != nil {
		f.T.Fatal(err)
	}
	f.UseKeys(a)
	if err := accounts.AdoptTokens(f.T.Context(), f.DB); err != nil {
		f.T.Fatal(err)
	}
	return a
}

// Tables are the names of all tables.
func (f *Fixture) Tables() []string {
	f.T.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if f.SQL.Dialect == sqldb.Postgres {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
	}
	return f.Column(query)
}

// Column is what a query of one column gives, as text.
func (f *Fixture) Column(query string) (out []string) {
	f.T.Helper()
	rows, err := f.SQL.QueryContext(f.T.Context(), query)
	if err != nil {
		f.T.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			f.T.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		f.T.Fatal(err)
	}
	return out
}

// Given is one of each kind of what an account can be given.
type Given struct {
	P          accounts.Principal
	Cookie     bridge.Secret
	Refresh    bridge.Secret
	Developer  accounts.Principal
	Device     accounts.Device
	Code       bridge.Secret
	Pending    bridge.Secret
	Invitation bridge.Secret
	Address    bridge.Secret // the link to another address
	JoinToken  bridge.Secret
	Pat, Live  uuid.UUID
	PatID      bridge.Identity
	Connection api.Connection
}

// Of the program that is approved in [Fixture.Give].
const (
	ClientID    = "ace-cli"
	RedirectURI = "http://127.0.0.1:4000/"
	Verifier    = "verifier-verifier-verifier-verifier-verifier"
)

// Give gives an account one of each.
func (f *Fixture) Give(a *keys.Authority, p accounts.Principal) Given {
	f.T.Helper()
	ctx, by, g := f.T.Context(), p.Actor("", ""), Given{P: p}
	must := func(err error) {
		f.T.Helper()
		if err != nil {
			f.T.Fatal(err)
		}
	}
	s, err := f.Sessions.OpenSession(ctx, p.UserID, p.Org, accounts.MethodBrowser, by)
	must(err)
	g.Cookie = s.Cookie
	s, err = f.Sessions.OpenSession(ctx, p.UserID, p.Org, accounts.MethodDevice, by)
	must(err)
	g.Refresh = s.Refresh
	s, err = f.Sessions.OpenSessionFrom(ctx, p.As(by), accounts.MethodDeveloper)
	must(err)
	g.Developer = s.Principal
	g.Device, err = f.Sessions.StartDevice(ctx, accounts.DeviceStart{ClientID: ClientID})
	must(err)
	sum := sha256.Sum256([]byte(Verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	must(f.Sessions.DecideDevice(ctx, p.As(by), g.Device.UserCode, true))
	g.Code, err = f.Sessions.IssueCode(ctx, p.As(by), accounts.CodeGrant{ClientID: ClientID, RedirectURI: RedirectURI, Challenge: challenge})
	must(err)
	g.Pending, err = f.SignIn.BeginSecondStep(ctx, accounts.User{ID: p.UserID, Email: p.Email}, by)
	must(err)
	_, g.Invitation, _ = f.Invite(p, api.NewInvitation{Role: "viewer"})
	f.Mailed()
	_, err = f.Addresses.Ask(ctx, p.As(by), addresses.Request{Email: "elsewhere-" + p.Org + "@a.test", Password: bridge.NewSecret(Password)})
	must(err)
	g.Address = f.Link("address")
	g.JoinToken = f.JoinToken(p, api.JoinTokenRequest{Uses: 100}).Token.Secret
	mint := func(kind bridge.KeyKind) record.Record {
		_, r, err := a.Mint(ctx, keys.By{Actor: by, Who: p.Identity(), Bind: accounts.BindToken(p)}, keys.Wish{Kind: kind, Name: "n", Scopes: []string{"connection:read"}})
		must(err)
		return r
	}
	pat := mint(bridge.KindPAT)
	g.Pat, g.Live = pat.ID, mint(bridge.KindLive).ID
	g.PatID = bridge.Identity{Type: bridge.TypeAPIKey, KeyID: pat.ID, Kind: bridge.KindPAT, Subject: p.Email, Org: p.Org, Scopes: pat.Scopes}
	if _, err := f.Accounts.KeyPrincipal(ctx, g.PatID, accounts.KeyFacts{Name: "n"}); err != nil {
		f.T.Fatalf("a token that was just made: %v", err)
	}
	g.Connection = f.Register(p, "https://"+p.Org+".a.test", AceKey().Text().Reveal())
	return g
}

// Exec changes a row as no rule does.
func (f *Fixture) Exec(query string, args ...any) {
	f.T.Helper()
	if _, err := f.SQL.ExecContext(f.T.Context(), query, args...); err != nil {
		f.T.Fatal(err)
	}
}
