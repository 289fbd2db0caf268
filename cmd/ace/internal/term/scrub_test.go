package term

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
)

// What looks like a secret goes, even if nobody has said that it is one.
func TestScrub(t *testing.T) {
	raw := make([]byte, 48)
	_, _ = rand.Read(raw)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scrubber := New(nil, nil, nil).Scrubber("operator-chose-this, and-this-one", "postgres://u:in-a%20url@db/ace?password=in-a-query")
	for name, secret := range map[string]string{
		"an API key":        bridge.NewKey(bridge.KindLive, [16]byte{1}).Text().Reveal(),
		"a cloud secret":    "ace_cs1.aHR0cHM6Ly9j.acme.1." + base64.RawURLEncoding.EncodeToString(raw[:32]),
		"a join token":      "ace_jt1.aHR0cHM6Ly9j.acme.1.a." + base64.RawURLEncoding.EncodeToString(raw[:32]),
		"a JWT":             "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
		"a Fernet key":      base64.URLEncoding.EncodeToString(raw[:32]),
		"base64":            base64.StdEncoding.EncodeToString(raw),
		"hex":               hex.EncodeToString(raw),
		"a link's key":      base64.RawURLEncoding.EncodeToString(private),
		"an opaque token":   bridge.RandomToken(32),
		"a known one":       "operator-chose-this",
		"another known one": "and-this-one",
		"one of a URL":      "in-a%20url", "one of a URL, as it is meant": "in-a url", "one of a query": "in-a-query",
		"a known, capitalised": "OPERATOR-CHOSE-THIS",
	} {
		for _, line := range []string{"key " + secret + ".", `{"x":"` + secret + `"}`, "url=https://host/path/" + secret + "?x", "a," + secret + ",b", "x=" + secret} {
			if got := scrubber.Scrub(line); strings.Contains(got, secret) || strings.Contains(got, secret[max(0, len(secret)-16):]) {
				t.Errorf("%s: %q shows as %q", name, line, got)
			}
		}
	}
	for _, line := range []string{"postgres://ace:hunter2@db/ace", "smtps://u:hunter2@mail", "host=db password=hunter2 user=ace", `{"password":"hunter2"}`, `{"client_secret": "hunter2"}`, "client_secret=hunter2",
		"Authorization: Basic hunter2", "Cookie: __Host-ace=hunter2", "X-Api-Key: hunter2", "Bearer hunter2hunter2",
		"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nhunter2 cut off"} {
		if got := scrubber.Scrub(line); strings.Contains(got, "hunter2") {
			t.Errorf("%q shows as %q", line, got)
		}
	}
	public := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	for _, line := range []string{"time=2026-11-27T10:00:00Z level=INFO msg=\"server is up\" addr=127.0.0.1:7777", "request_id=ABCDEFGHIJKLMNOPQRSTUV23",
		"GET /v1/connections/01a1fc30-3fc5-7603-bc83-1f1313f67ee9/relay/whoami 200", "/home/ann/projects/ace/cmd/ace/internal/term/redact.go",
		bridge.PublicKeyValue("https://cloud.test", "acme", 1, public), "https://my-ace-k3j4h5k6l7m8-uc.a.run.app", "ace_live_AbCd1234",
		"no cloud secret: `ace connect` cannot exchange keys here"} {
		if got := scrubber.Scrub(line); got != line {
			t.Errorf("%q shows as %q", line, got)
		}
	}
}
