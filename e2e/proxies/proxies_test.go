package proxies

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
	"github.com/acebridge/ace/server"
)

// The shipped configuration files, with other addresses and nothing else changed, in the real proxies.

func TestProxyNginx(t *testing.T) {
	t.Parallel()
	program := world.Installed(t, "nginx")
	p := newProxied(t, servicesCatalogue(t))
	p.startNginx(t, program)
	p.refused(t, 404, http.MethodGet, "/_ace_verify") // nginx's own, and internal
	p.check(t)
}

func TestProxyCaddy(t *testing.T) {
	t.Parallel()
	program := world.Installed(t, "caddy")
	p := newProxied(t, servicesCatalogue(t))
	p.startCaddy(t, program)
	p.check(t)
}

// Without rules the server decides about no path and refuses no header that changes one: to keep such headers from the
// app is the proxy's work alone.
func TestProxyWithoutRules(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*proxied, *testing.T, string){
		"nginx": (*proxied).startNginx, "caddy": (*proxied).startCaddy} {
		t.Run(name, func(t *testing.T) {
			program := world.Installed(t, name)
			p := newProxied(t, catalogue.Builtin())
			start(p, t, program)
			key := p.key(t, api.CreateKeyRequest{})
			for _, spoofed := range append(spoofedRequest, spoofedIdentity...) {
				if p.unstrippable(spoofed) {
					p.refused(t, 403, http.MethodGet, allowed, bearer(key), spoofed)
					continue
				}
				resp, saw := p.send(t, http.MethodGet, allowed, bearer(key), spoofed)
				if resp.StatusCode != http.StatusOK || saw.URI != allowed || saw.Method != http.MethodGet {
					t.Errorf("%s: %d %+v", spoofed, resp.StatusCode, saw)
					continue
				}
				p.checkIdentity(t, key, resp, saw)
				p.refused(t, 401, http.MethodGet, allowed, spoofed)
			}
		})
	}
}

func (p *proxied) startNginx(t *testing.T, program string) {
	t.Helper()
	p.cannot = true
	dir := t.TempDir()
	p.shipped(t, "nginx/forward-auth.conf", filepath.Join(dir, "ace.conf"), "listen 80;", "listen "+p.proxy+";")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the folder of the test is root's alone
	}
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	// One process, so that killing it leaves none behind.
	conf := fmt.Sprintf("%s daemon off; master_process off; pid %s/pid; error_log %s/error.log;\nevents {}\n"+
		"http {\naccess_log off;\n%sinclude %s/ace.conf;\n}\n", user, dir, dir, temporary.String(), dir)
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, conf)
	p.run(t, dir, exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file))
}

func (p *proxied) startCaddy(t *testing.T, program string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	shipped := p.shipped(t, "caddy/Caddyfile", file, "app.company.com {", "http://"+p.proxy+" {")
	writeFile(t, file, "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n"+shipped)
	cmd := exec.Command(program, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	p.run(t, dir, cmd)
}

func servicesCatalogue(t *testing.T) catalogue.Catalogue {
	t.Helper()
	raw, err := os.ReadFile("../../configs/scopes/services.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// proxied is a server, an app, and the address where a proxy is to listen in front of them.
type proxied struct {
	proxy    string
	rules    bool // the server has some, those of the catalogue services
	cannot   bool // strip headers by the beginning of their names: the server refuses them
	server   *httptest.Server
	app      *httptest.Server
	secret   bridge.Secret // signs user tokens
	token    bridge.Secret // a user token
	next     chan struct{} // lets /stream go on
	hangs    chan struct{} // /hang was called
	operator *apiclient.Server
	reached  atomic.Int64 // requests that came to the app
	ahead    atomic.Int64 // how far the server's clock is ahead
}

func newProxied(t *testing.T, scopes catalogue.Catalogue) *proxied {
	t.Helper()
	p := &proxied{server: httptest.NewUnstartedServer(nil), rules: scopes.HasRules()}
	p.app = httptest.NewServer(http.HandlerFunc(p.echo))
	t.Cleanup(p.app.Close)
	ln, _ := world.ListenLoopback(t)
	p.proxy = ln.Addr().String()
	_ = ln.Close()

	address := bridge.ServerURL("http://" + p.server.Listener.Addr().String())
	secret := bridge.NewSecret(bridge.RandomToken(32))
	s, err := server.New(t.Context(), server.Config{PublicURLs: []bridge.ServerURL{address}, JWTSecret: secret,
		DatabaseURL: sqldbtest.SQLite(t), Catalogue: scopes,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowedOrigins: []string{pageOrigin},
		Now: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { _ = s.Run(ctx) })
	p.server.Config.Handler = s.Handler()
	p.server.Start()
	t.Cleanup(func() {
		p.server.Close()
		cancel()
		background.Wait()
		_ = s.Close()
	})
	token, err := server.MintUserToken(secret, "ops", bridge.RoleAdmin, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.secret, p.next, p.hangs = secret, make(chan struct{}), make(chan struct{}, 1)
	p.token, p.operator = token, apiclient.NewServer(address, token, api.ClientConfig{})
	return p
}

// shipped writes a configuration file with the addresses of this test in place of the example's, and returns it.
func (p *proxied) shipped(t *testing.T, name, to, listen, listenHere string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../configs", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, change := range [][2]string{{"127.0.0.1:7777", p.server.Listener.Addr().String()},
		{"127.0.0.1:8080", p.app.Listener.Addr().String()}, {listen, listenHere}} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%s has no %q", name, change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	writeFile(t, to, text)
	return text
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	proxyStart = 20 * time.Second
	proxyStop  = 5 * time.Second
)

// run starts a proxy, waits until it listens, and ends it with the test.
func (p *proxied) run(t *testing.T, dir string, cmd *exec.Cmd) {
	t.Helper()
	output := filepath.Join(dir, "output.log")
	f, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = f, f, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(proxyStop):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			for _, name := range []string{"output.log", "error.log"} {
				log, _ := os.ReadFile(filepath.Join(dir, name))
				t.Logf("%s:\n%s", name, log)
			}
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(proxyStart); ; {
		if conn, err := net.Dial("tcp", p.proxy); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended at once", cmd.Path)
		case <-late:
			t.Fatalf("%s does not listen at %s", cmd.Path, p.proxy)
		case <-tick.C:
		}
	}
}

// seen is what the app saw of a request.
type seen struct {
	Method string
	URI    string
	Host   string
	Header http.Header
	Body   string
}

// echo is the app: it answers what it saw, with headers that are the proxy's to say, or speaks as a WebSocket.
func (p *proxied) echo(w http.ResponseWriter, r *http.Request) {
	p.reached.Add(1)
	if r.Header.Get("Upgrade") != "" {
		world.EchoSocket(w, r)
		return
	}
	if p.talks(w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Request-Id", "the-apps-own")
	w.Header().Set("X-Ace-Key-Expires", "the-apps-own")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/broken") {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, string(body)})
}

// open sends a request to the proxy byte for byte: no client may tidy up its path or its headers, which are lines.
// After an empty line comes the body.
func (p *proxied) open(t *testing.T, method, target string, headers ...string) (
	net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", p.proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	request := method + " " + target + " HTTP/1.1\r\nHost: " + p.proxy + "\r\n"
	for _, line := range headers {
		request += line + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s %v: %v", method, target, headers, err)
	}
	return conn, reader, resp
}

// send returns the answer, and what the app saw if that is where it comes from.
func (p *proxied) send(t *testing.T, method, target string, headers ...string) (*http.Response, seen) {
	t.Helper()
	_, _, resp := p.open(t, method, target, headers...)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var saw seen
	if resp.StatusCode == http.StatusOK && method != http.MethodHead {
		if err := json.Unmarshal(body, &saw); err != nil {
			t.Fatalf("%s %s: %d %s", method, target, resp.StatusCode, body)
		}
	}
	return resp, saw
}

// key creates a key that, where there are rules, reads the wiki and nothing else.
func (p *proxied) key(t *testing.T, r api.CreateKeyRequest) api.CreatedKey {
	t.Helper()
	r.Name = "ci"
	if p.rules {
		r.Scopes = []string{"svc:wiki:read"}
	}
	created, err := p.operator.CreateKey(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func bearer(k api.CreatedKey) string { return "Authorization: Bearer " + k.Key.Reveal() }

const (
	allowed = "/api/v1/wiki/pages?q=a%20b&q=c"
	denied  = "/api/v1/tasks/1"
)

// refused sends a request that must be answered with one of the statuses, and not come to the app.
func (p *proxied) refused(t *testing.T, status int, method, target string, headers ...string) *http.Response {
	t.Helper()
	before := p.reached.Load()
	resp, _ := p.send(t, method, target, headers...)
	if resp.StatusCode != status || p.reached.Load() != before {
		t.Errorf("%s %s %q: %d, want %d; %d requests came to the app", method, target, headers, resp.StatusCode, status,
			p.reached.Load()-before)
	}
	return resp
}
