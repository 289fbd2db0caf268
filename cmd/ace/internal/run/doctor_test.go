package run

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/vault"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// planted are secrets of every kind, by what they are. Those with a variable's name are in the environment as well.
func planted(t *testing.T) map[string]string {
	t.Helper()
	root, err := bridge.ParseSigningRoot(bridge.NewSigningRoot())
	if err != nil {
		t.Fatal(err)
	}
	public, jwtSecret := root.TrustValues("http://127.0.0.1:1", "acme")
	join, err := bridge.NewJoinToken(public)
	if err != nil {
		t.Fatal(err)
	}
	_, link, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	fernet, err := vault.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"ACE_JWT_SECRET":              bridge.RandomToken(48),
		"ACE_CLOUD_JWT_SECRET":        jwtSecret.Reveal(),
		"ACE_CLOUD_SIGNING_KEY":       bridge.NewSigningRoot().Reveal(),
		"ACE_DATABASE_ENCRYPTION_KEY": fernet.Reveal(),
		"ACE_KEY":                     bridge.NewKey(bridge.KindPAT, uuid.New()).Text().Reveal(),
		"ACE_TOKEN":                   "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ." + bridge.RandomToken(48),
		"a database password":         "pass-of-the-database",
		"a password of SMTP":          "pass-of-the-mail",
		"a password of a proxy":       "pass-of-the-proxy",
		"a join token":                join.Text().Reveal(),
		"an API key":                  bridge.NewKey(bridge.KindLive, uuid.New()).Text().Reveal(),
		"a connection key":            bridge.NewKey(bridge.KindSK, uuid.New()).Text().Reveal(),
		"a link's key":                base64.RawURLEncoding.EncodeToString(link),
		"a link's seed":               base64.RawURLEncoding.EncodeToString(link.Seed()),
		"a session":                   bridge.RandomToken(32),
		"the kept secret":             bridge.RandomToken(48),
	}
}

// TestBundleHoldsNoSecret plants secrets of every kind in the settings and in the log, and looks for each in the unpacked bundle.
func TestBundleHoldsNoSecret(t *testing.T) {
	secrets := planted(t)
	dir, err := os.MkdirTemp("/tmp", "ace") // a name of words and digits: what TMPDIR holds could look random
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("HOME", t.TempDir())
	for name, secret := range secrets {
		if strings.HasPrefix(name, "ACE_") {
			t.Setenv(name, secret)
		}
	}
	for name, value := range map[string]string{
		"ACE_DATA_DIR": dir, "ACE_ADDR": "127.0.0.1:0", "ACE_DATABASE_URL": "postgres://ace:" + secrets["a database password"] + "@127.0.0.1:1/ace?connect_timeout=1",
		"ACE_SMTP_URL": "smtps://ace:" + secrets["a password of SMTP"] + "@mail.test", "HTTPS_PROXY": "http://ada:" + secrets["a password of a proxy"] + "@127.0.0.1:1",
		"ACE_JWT_SECRTE": secrets["a session"],
	} {
		t.Setenv(name, value)
	}
	if err := os.WriteFile(filepath.Join(dir, "jwt-secret"), []byte(secrets["the kept secret"]), 0o600); err != nil {
		t.Fatal(err)
	}
	recent := new(report.Recent)
	for name, secret := range secrets {
		_, _ = fmt.Fprintf(recent, "time=2026-11-27T10:00:00Z level=INFO msg=%q value=%s\n", name, secret)
		_, _ = fmt.Fprintf(recent, `{"msg":"a request","error":"GET https://x:%s@ace.test/x?key=%s: refused (%s)."}`+"\n", secret, secret, secret)
		_, _ = fmt.Fprintf(recent, "Authorization: Bearer %s\n", secret)
	}
	_, _ = io.WriteString(recent, "level=WARN msg=\"the link to the cloud is down; trying again\" request_id=ABCDEFGHIJKLMNOPQRSTUV23\n")
	null := outsideStreams(t)
	runner := linking{&Runner{Term: null, Version: "v1"}}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"version":"v1","server_id":"s1","started_at":%q,"app":{"state":"up"},"links":[],"ready":false,"code":"no_link","cause":"refused: %s"}`,
			time.Now().UTC().Format(time.RFC3339), secrets["an API key"])
	})
	serveSocket(t, filepath.Join(dir, api.SocketName), recent.Serve(next, new(term.Terminal)))
	path := filepath.Join(t.TempDir(), "support.zip")
	doctor := func(path string) error {
		cmd := runner.doctorCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"--bundle", path})
		return cmd.ExecuteContext(t.Context())
	}
	if err := doctor(path); bridge.CodeOf(err) != bridge.CodeFaultsFound {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	all := ""
	for name, text := range unpacked(t, path) {
		all += name + "\n" + text
		for what, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, secret[len(secret)-12:]) {
				t.Errorf("%s has %s (%s)", name, what, secret)
			}
		}
	}
	for _, want := range []string{"request_id=ABCDEFGHIJKLMNOPQRSTUV23", "the link to the cloud is down", `"ACE_DATA_DIR": "` + dir, `"postgres://127.0.0.1:1/ace"`,
		`"database_unreachable"`, "server.json", `"server_id": "s1"`, "checks.json", "about.json"} {
		if !strings.Contains(all, want) {
			t.Errorf("the bundle lacks %s:\n%s", want, all)
		}
	}
	if err := doctor(path); bridge.CodeOf(err) != bridge.CodeBundleExists {
		t.Errorf("the file is written again: %v", err)
	}
}

// outsideStreams is a terminal whose streams nobody reads.
func outsideStreams(t *testing.T) *term.Terminal {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	terminal := term.New(null, null, null)
	terminal.SecretVariables = append(SecretSettings(), profile.SecretVariables...)
	return terminal
}

func serveSocket(t *testing.T, path string, h http.Handler) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(srv.Close)
}

func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = string(text)
	}
	return all
}
