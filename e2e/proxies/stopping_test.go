package proxies

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/e2e/world"
)

// heldApp is an app with calls that last: /slow until it is let go, /events, /lines and /socket without an end.
type heldApp struct {
	*httptest.Server
	came    chan struct{} // to /slow
	release chan struct{}
}

func newHeldApp(t *testing.T) *heldApp {
	a := &heldApp{came: make(chan struct{}, 1), release: make(chan struct{})}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			a.came <- struct{}{}
			<-a.release
			_, _ = io.WriteString(w, "done")
		case "/events", "/lines":
			w.Header().Set("Content-Type", map[string]string{"/events": "text/event-stream", "/lines": "application/x-ndjson"}[r.URL.Path])
			_, _ = io.WriteString(w, "data: began\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/socket":
			world.EchoSocket(w, r)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// process is an `ace server` or `ace cloud` that runs for the test.
type process struct {
	*testing.T
	url    string
	ended  chan error
	signal func()
	kill   func()
	client *http.Client
}

var upAt = regexp.MustCompile(` is up.* addr=(\S+)`)

func started(c *world.Terminal, role string) *process {
	c.T.Helper()
	cmd := c.Command("", role)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		c.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.T.Fatal(err)
	}
	p := &process{T: c.T, ended: make(chan error, 1), client: &http.Client{Transport: &http.Transport{}},
		signal: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }, kill: func() { _ = cmd.Process.Kill() }}
	var said strings.Builder
	lines := bufio.NewReader(stderr)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if m := upAt.FindStringSubmatch(line); m != nil {
			p.url = "http://" + m[1]
		}
		if err != nil {
			c.T.Fatalf("ace %s is not up: %s", role, said.String())
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		p.ended <- cmd.Wait()
	}()
	return p
}

// get begins a call, with the credential.
func (p *process) get(path string, credential bridge.Secret, headers ...string) *http.Response {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	if !credential.IsZero() {
		r.Header.Set("Authorization", "Bearer "+credential.Reveal())
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.Fatalf("%s: %v", path, err)
	}
	p.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// stopsWell tells the process to stop while a slow call and streams are under way.
func (p *process) stopsWell(ready, prefix string, credential bridge.Secret, app *heldApp, streams ...string) {
	p.Helper()
	var open []*http.Response
	for _, path := range streams {
		open = append(open, p.get(path, credential))
	}
	broken := p.get(prefix+"/lines", credential)
	socket := p.get(prefix+"/socket", credential, world.Handshake...)
	if socket.StatusCode != http.StatusSwitchingProtocols {
		p.Fatal(socket.Status)
	}
	slow := make(chan *http.Response, 1)
	go func() { slow <- p.get(prefix+"/slow", credential) }()
	<-app.came
	if resp := p.get(ready, bridge.Secret{}); resp.StatusCode != http.StatusOK {
		p.Fatalf("before: %s", resp.Status)
	}
	p.signal()
	notReady := p.get(ready, bridge.Secret{})
	for notReady.StatusCode == http.StatusOK { // until the signal has come
		notReady = p.get(ready, bridge.Secret{})
	}
	if code := bridge.CodeOf(api.ReadProblem(notReady)); notReady.StatusCode != 503 || code != "shutting_down" || notReady.Header.Get("Retry-After") == "" || !notReady.Close {
		p.Errorf("readyz is %s %s %v", notReady.Status, code, notReady.Header)
	}
	for i, resp := range open {
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || len(body) == 0 {
			p.Errorf("%s was not ended, but cut: %s %q %v", streams[i], resp.Status, body, err)
		}
	}
	if _, err := io.ReadAll(broken.Body); err == nil {
		p.Error("a stream that is no event stream looks complete")
	}
	_, _ = io.ReadAll(socket.Body) // ends
	// All streams have ended, and the slow call has not: others are still taken.
	if resp := p.get(ready, bridge.Secret{}); resp.StatusCode != 503 {
		p.Errorf("while calls finish: %s", resp.Status)
	}
	close(app.release)
	resp := <-slow
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "done" || !resp.Close {
		p.Errorf("the slow call: %s %q %v", resp.Status, body, err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			p.Errorf("it exits with %v", err)
		}
	case <-time.After(20 * time.Second):
		p.Error("it does not end")
	}
}

// A signal ends streams and no calls, and readyz says so first.
func TestServerStopsWell(t *testing.T) {
	t.Parallel()
	app := newHeldApp(t)
	c := world.NewTerminal(t, "ACE_ADDR=127.0.0.1:0", "ACE_UPSTREAM_URL="+app.URL, "ACE_DRAIN=200ms")
	p := started(c, "server")
	token := bridge.NewSecret(strings.TrimSpace(c.Must("", "server", "token").Stdout))
	p.stopsWell("/ace/readyz", "", token, app, "/events", "/ace/v1/revocations")
}

func TestCloudStopsWell(t *testing.T) {
	t.Parallel()
	app := newHeldApp(t)
	c := world.NewTerminal(t, "ACE_ADDR=127.0.0.1:0", "ACE_DRAIN=200ms")
	c.Must(world.Password, "cloud", "user", "add", "--email", "ada@acme.test", "--org", "acme", "--role", "owner", "--password-stdin")
	p := started(c, "cloud")
	session, err := apiclient.NewCloud(bridge.ServerURL(p.url), bridge.Secret{}, api.ClientConfig{}).PasswordSession(t.Context(),
		api.SessionRequest{Email: "ada@acme.test", Password: bridge.NewSecret(world.Password).Disclose()})
	if err != nil {
		t.Fatal(err)
	}
	token := bridge.NewSecret(session.Token.Reveal())
	key := bridge.NewSecret("a-plain-key").Disclose()
	connection, err := apiclient.NewCloud(bridge.ServerURL(p.url), token, api.ClientConfig{}).Register(t.Context(),
		api.RegisterRequest{ServerURL: app.URL, Name: "app", APIKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	relay := "/v1/connections/" + connection.ID + "/relay"
	p.stopsWell("/readyz", relay, token, app, relay+"/events", "/v1/connections/events")
}
