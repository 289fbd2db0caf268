package bridge_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
)

const (
	cloudURL  bridge.ServerURL = "https://cloud.example.com"
	serverURL bridge.ServerURL = "https://ace.example.com"
)

var now = time.Unix(1_800_000_000, 0)

func newRoot(t testing.TB) bridge.SigningRoot {
	t.Helper()
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func goodClaims() bridge.ConnectClaims {
	return bridge.ConnectClaims{Times: bridge.NewTimes(now, 5*time.Minute), Issuer: cloudURL, Org: "acme", Subject: "u1",
		Email: "ann@example.com", Role: bridge.RoleAdmin, Scope: "*", KeyLife: 90 * 24 * 3600, JTI: bridge.NewTokenID(),
	}.ForServer(serverURL)
}

// sides returns the three kinds of cloud secret, each with the key that signs for it.
func sides(t testing.TB) map[string]struct {
	trust bridge.Trust
	key   bridge.SigningKey
} {
	t.Helper()
	root := newRoot(t)
	public, secret := root.TrustValues(cloudURL, "acme")
	raw := bridge.NewSecret(strings.Repeat("r", 32))
	out := map[string]struct {
		trust bridge.Trust
		key   bridge.SigningKey
	}{}
	add := func(name string, settings bridge.TrustSettings, key bridge.SigningKey) {
		trust, err := bridge.ParseTrust(settings)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = struct {
			trust bridge.Trust
			key   bridge.SigningKey
		}{trust, key}
	}
	hs, ok := root.ConnectKey(cloudURL, "acme", []string{"cs1.acme.1"})
	if !ok {
		t.Fatal("no key for the cloud JWT secret")
	}
	add("public key", bridge.TrustSettings{PublicKey: public}, root.SigningKey())
	add("JWT secret", bridge.TrustSettings{JWTSecret: secret}, hs)
	add("raw secret", bridge.TrustSettings{JWTSecret: raw, CloudURL: string(cloudURL), Org: "acme"}, bridge.RawSigningKey(raw))
	return out
}

// rewrite changes the decoded header and claims of a token and keeps its signature.
func rewrite(t *testing.T, token bridge.Secret, part int, change func(map[string]any)) bridge.Secret {
	t.Helper()
	parts := strings.Split(token.Reveal(), ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	change(fields)
	if raw, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	parts[part] = base64.RawURLEncoding.EncodeToString(raw)
	return bridge.NewSecret(strings.Join(parts, "."))
}

func TestVerifyConnectClaims(t *testing.T) {
	cases := map[string]struct {
		change func(*bridge.ConnectClaims)
		code   bridge.Code
	}{
		"good":             {func(*bridge.ConnectClaims) {}, ""},
		"other issuer":     {func(c *bridge.ConnectClaims) { c.Issuer = "https://evil.example" }, "connect_issuer"},
		"other org":        {func(c *bridge.ConnectClaims) { c.Org = "rival" }, "connect_org"},
		"other server":     {func(c *bridge.ConnectClaims) { *c = c.ForServer("https://other.example") }, "connect_audience"},
		"server with path": {func(c *bridge.ConnectClaims) { *c = c.ForServer(serverURL + "/x") }, "connect_audience"},
		"no subject":       {func(c *bridge.ConnectClaims) { c.Subject = "" }, "connect_subject"},
		"unknown role":     {func(c *bridge.ConnectClaims) { c.Role = "root" }, "connect_role"},
		"no scope":         {func(c *bridge.ConnectClaims) { c.Scope = "" }, "connect_scope"},
		"bad scope":        {func(c *bridge.ConnectClaims) { c.Scope = "A B" }, "connect_scope"},
		"short jti":        {func(c *bridge.ConnectClaims) { c.JTI = strings.Repeat("a", 21) }, "connect_jti"},
		"odd jti":          {func(c *bridge.ConnectClaims) { c.JTI = strings.Repeat("a", 30) + " " }, "connect_jti"},
		"no key life":      {func(c *bridge.ConnectClaims) { c.KeyLife = 0 }, "connect_key_life"},
		"ten years":        {func(c *bridge.ConnectClaims) { c.KeyLife = 10 * 366 * 86400 }, "connect_key_life"},
		"in 30 s":          {func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(now.Add(30*time.Second), time.Minute) }, ""},
		"in 31 s":          {func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(now.Add(31*time.Second), time.Minute) }, "connect_clock"},
		"expired":          {func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(now.Add(-5*time.Minute), 5*time.Minute) }, "connect_expired"},
		"long life":        {func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(now, 301*time.Second) }, "connect_lifetime"},
		"backwards":        {func(c *bridge.ConnectClaims) { c.Times = bridge.NewTimes(now, -time.Second) }, "connect_lifetime"},
		"no times":         {func(c *bridge.ConnectClaims) { c.Times = bridge.Times{} }, "connect_lifetime"},
	}
	for kind, side := range sides(t) {
		for name, c := range cases {
			t.Run(kind+"/"+name, func(t *testing.T) {
				claims := goodClaims()
				c.change(&claims)
				token, err := side.key.SignConnect(claims)
				if err != nil {
					t.Fatal(err)
				}
				got, err := side.trust.VerifyConnect(token, []bridge.ServerURL{serverURL}, now)
				if bridge.CodeOf(err) != c.code {
					t.Fatalf("%v (%s), want %q", err, bridge.CodeOf(err), c.code)
				}
				if err == nil && got.Subject != "u1" {
					t.Errorf("claims: %+v", got)
				}
			})
		}
	}
}

func TestVerifyConnectHeader(t *testing.T) {
	cases := map[string]struct {
		part   int
		change func(map[string]any)
		code   bridge.Code
	}{
		"no typ":           {0, func(h map[string]any) { delete(h, "typ") }, "connect_type"},
		"session token":    {0, func(h map[string]any) { h["typ"] = bridge.TypeSession }, "connect_type"},
		"typ JWT":          {0, func(h map[string]any) { h["typ"] = "JWT" }, "connect_type"},
		"no kid":           {0, func(h map[string]any) { delete(h, "kid") }, "connect_key_unknown"},
		"other kid":        {0, func(h map[string]any) { h["kid"] = "pk1.2" }, "connect_key_unknown"},
		"alg none":         {0, func(h map[string]any) { h["alg"] = "none" }, "connect_algorithm"},
		"alg HS512":        {0, func(h map[string]any) { h["alg"] = "HS512" }, "connect_algorithm"},
		"crit":             {0, func(h map[string]any) { h["crit"] = []string{} }, "connect_malformed"},
		"jku":              {0, func(h map[string]any) { h["jku"] = "https://evil.example" }, "connect_malformed"},
		"jwk":              {0, func(h map[string]any) { h["jwk"] = map[string]string{} }, "connect_malformed"},
		"x5u":              {0, func(h map[string]any) { h["x5u"] = "" }, "connect_malformed"},
		"changed claims":   {1, func(c map[string]any) { c["role"] = "owner" }, "connect_signature"},
		"changed audience": {1, func(c map[string]any) { c["aud"] = []string{string(serverURL)} }, "connect_signature"},
	}
	for kind, side := range sides(t) {
		for name, c := range cases {
			token, err := side.key.SignConnect(goodClaims())
			if err != nil {
				t.Fatal(err)
			}
			_, err = side.trust.VerifyConnect(rewrite(t, token, c.part, c.change), []bridge.ServerURL{serverURL}, now)
			if bridge.CodeOf(err) != c.code {
				t.Errorf("%s, %s: %v (%s), want %s", kind, name, err, bridge.CodeOf(err), c.code)
			}
		}
	}
}

// arrayAudience has the claims of a good token, except for the form of aud.
type arrayAudience struct {
	jwt.MapClaims
}

func TestVerifyConnectRefusesArrayAudience(t *testing.T) {
	for kind, side := range sides(t) {
		raw, err := json.Marshal(goodClaims())
		if err != nil {
			t.Fatal(err)
		}
		claims := arrayAudience{}
		if err := json.Unmarshal(raw, &claims.MapClaims); err != nil {
			t.Fatal(err)
		}
		claims.MapClaims["aud"] = []string{string(serverURL)}
		token, err := side.key.SignToken(bridge.TypeConnect, claims.MapClaims)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := side.trust.VerifyConnect(token, []bridge.ServerURL{serverURL}, now); err == nil {
			t.Errorf("%s: a token with a list of audiences passes", kind)
		}
	}
}

func TestVerifyConnectAcrossSecrets(t *testing.T) {
	root, other := newRoot(t), newRoot(t)
	public, secret := root.TrustValues(cloudURL, "acme")
	_, rivals := root.TrustValues(cloudURL, "rival")
	sign := func(key bridge.SigningKey) bridge.Secret {
		token, err := key.SignConnect(goodClaims())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	check := func(name string, settings bridge.TrustSettings, key bridge.SigningKey, want bridge.Code) {
		t.Helper()
		trust, err := bridge.ParseTrust(settings)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.VerifyConnect(sign(key), []bridge.ServerURL{serverURL}, now); bridge.CodeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("another cloud's key", bridge.TrustSettings{PublicKey: public}, other.SigningKey(), "connect_signature")
	// Someone with one customer's secret knows the kid of another's, and signs with the own secret under that kid.
	forged, _ := root.ConnectKey(cloudURL, "rival", []string{"cs1.rival.1"})
	forged.KeyID = "cs1.acme.1"
	check("another customer's secret", bridge.TrustSettings{JWTSecret: secret}, forged, "connect_signature")
	if rivals.Equal(secret) {
		t.Error("two organizations have one secret")
	}
	check("none", bridge.TrustSettings{}, root.SigningKey(), "exchange_not_configured")
	newer := strings.Replace(public, ".1.", ".2.", 1)
	check("rotation", bridge.TrustSettings{PublicKey: newer + "," + public}, root.SigningKey(), "")
}

func TestParseTrustRefuses(t *testing.T) {
	root := newRoot(t)
	public, secret := root.TrustValues(cloudURL, "acme")
	rival, _ := root.TrustValues(cloudURL, "rival")
	cases := map[string]bridge.TrustSettings{
		"cut off":              {PublicKey: public[:len(public)-3]},
		"secret as public key": {PublicKey: secret.Reveal()},
		"public key as secret": {JWTSecret: bridge.NewSecret(public)},
		"empty value":          {PublicKey: public + ","},
		"two organizations":    {PublicKey: public + "," + rival},
		"twice":                {PublicKey: public + "," + public},
		"another cloud's URL":  {PublicKey: public, CloudURL: "https://other.example"},
		"another organization": {PublicKey: public, Org: "rival"},
		"short raw secret":     {JWTSecret: bridge.NewSecret(strings.Repeat("a", 31)), CloudURL: string(cloudURL), Org: "acme"},
		"raw without URL":      {JWTSecret: bridge.NewSecret(strings.Repeat("a", 32)), Org: "acme"},
		"raw without org":      {JWTSecret: bridge.NewSecret(strings.Repeat("a", 32)), CloudURL: string(cloudURL)},
		"URL without secret":   {CloudURL: string(cloudURL)},
		"issuer not canonical": {PublicKey: bridge.PublicKeyValue(cloudURL+"/", "acme", 1, make([]byte, 32))},
	}
	for name, settings := range cases {
		if _, err := bridge.ParseTrust(settings); err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: public, JWTSecret: secret, CloudURL: string(cloudURL), Org: "acme"})
	if err != nil || len(trust.KeyIDs()) != 2 {
		t.Errorf("agreeing settings: %v %v", trust.KeyIDs(), err)
	}
}

func FuzzVerifyConnect(f *testing.F) {
	all := sides(f)
	for _, side := range all {
		token, err := side.key.SignConnect(goodClaims())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token.Reveal())
	}
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		for _, side := range all {
			claims, err := side.trust.VerifyConnect(bridge.NewSecret(s), []bridge.ServerURL{serverURL}, now)
			if err == nil && (claims.Subject != "u1" || claims.Server() != serverURL) {
				t.Errorf("%q passes with %+v", s, claims)
			}
		}
	})
}

func FuzzParseCloudKey(f *testing.F) {
	public, secret := newRoot(f).TrustValues(cloudURL, "acme")
	f.Add(public)
	f.Add(secret.Reveal())
	f.Add("ace_pk1....")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := bridge.ParseCloudKey(bridge.NewSecret(s))
		if err != nil {
			return
		}
		if canonical, err := bridge.CanonicalURL(string(key.Issuer)); err != nil || canonical != key.Issuer || bridge.CheckOrg(key.Org) != nil || key.Number < 1 {
			t.Errorf("%q was taken as %+v", s, key)
		}
	})
}

func TestSealedKeyIsBound(t *testing.T) {
	root := newRoot(t)
	claims := goodClaims()
	sealing, err := root.SealingKey(claims.JTI)
	if err != nil {
		t.Fatal(err)
	}
	key := bridge.NewKey(bridge.KindSK, uuid.New())
	sealed, err := bridge.Seal(sealing, claims.Binding(), key)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed, key.Text().Reveal()[10:40]) {
		t.Fatal("the sealed key shows the key")
	}
	if jti, err := bridge.SealedJTI(sealed); err != nil || jti != claims.JTI {
		t.Errorf("jti %q (%v)", jti, err)
	}
	if opened, err := root.OpenSealed(sealed, claims.Binding()); err != nil || opened.Hash() != key.Hash() {
		t.Errorf("it does not open: %v", err)
	}
	for name, change := range map[string]func(*bridge.SealBinding){
		"issuer":  func(b *bridge.SealBinding) { b.Issuer = "https://x.example" },
		"org":     func(b *bridge.SealBinding) { b.Org = "rival" },
		"server":  func(b *bridge.SealBinding) { b.Server = "https://x.example" },
		"subject": func(b *bridge.SealBinding) { b.Subject = "u2" },
		"jti":     func(b *bridge.SealBinding) { b.JTI = bridge.NewTokenID() },
	} {
		b := claims.Binding()
		change(&b)
		if _, err := root.OpenSealed(sealed, b); bridge.CodeOf(err) != "sealed_key_invalid" {
			t.Errorf("it opens for another %s: %v", name, err)
		}
	}
	if _, err := root.OpenSealed(strings.Replace(sealed, ".1.", ".01.", 1),
		claims.Binding()); bridge.CodeOf(err) != "sealed_key_invalid" {
		t.Errorf("another spelling of it opens: %v", err)
	}
	if _, err := newRoot(t).OpenSealed(sealed, claims.Binding()); bridge.CodeOf(err) != "sealed_key_invalid" {
		t.Errorf("it opens in another cloud: %v", err)
	}
}

func FuzzOpenSealed(f *testing.F) {
	root := newRoot(f)
	claims := goodClaims()
	sealing, _ := root.SealingKey(claims.JTI)
	sealed, _ := bridge.Seal(sealing, claims.Binding(), bridge.NewKey(bridge.KindSK, uuid.New()))
	f.Add(sealed)
	f.Add("ace_sealed1.a.1.")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := root.OpenSealed(s, claims.Binding()); err == nil && s != sealed {
			t.Errorf("%q opens", s)
		}
	})
}
