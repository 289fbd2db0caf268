package relay_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/who"
)

func TestRelayPassesRequestsOn(t *testing.T) { eachWay(t, who.RelayLimits{}, doPassesRequestsOn) }

func doPassesRequestsOn(t *testing.T, f *fixture) {
	type seen struct {
		Method, URI, Host, Body string
		Header                  http.Header
	}
	relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Of-The-Server", "yes")
		w.Header().Set(api.HeaderRequestID, "of-the-server")
		w.WriteHeader(http.StatusTeapot)
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "X-ODD"} {
		resp, body := f.Do(method, relay+"/a%20b/%E2%82%AC;v=1?q=a%2Fb&;x=%zz&empty", "the body", "Authorization", f.Bearer(),
			"X-Custom", "kept", "Accept-Encoding", "br")
		if resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Of-The-Server") != "yes" || resp.Header.Get(api.HeaderRelay) != "server" ||
			resp.Header.Get(api.HeaderRelayRequestID) != "of-the-server" || resp.Header.Get(api.HeaderRequestID) == "of-the-server" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
			continue
		}
		if method == "HEAD" {
			continue
		}
		var got seen
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if got.Method != method || got.URI != "/a%20b/%E2%82%AC;v=1?q=a%2Fb&;x=%zz&empty" || got.Body != "the body" ||
			got.Header.Get("X-Custom") != "kept" || got.Header.Get("X-Api-Key") != plainKey || got.Header.Get("Accept-Encoding") != "br" {
			t.Errorf("%s: the server saw %+v", method, got)
		}
		if strings.HasSuffix(f.Server, got.Host) {
			t.Errorf("the server is called by the cloud's name %q", got.Host)
		}
	}
	for path, status := range map[string]int{"/..": 400, "/a/../b": 400, "/a/%2e%2e/b": 400, "/a%2f..%2fb": 400, "/a\\..\\b": 400, "/a/..;x/b": 400, "/..%5cb": 400} {
		resp, body := f.Do("GET", relay+path, "", "Authorization", f.Bearer())
		if resp.StatusCode != status || codeOf(t, body) != "path_ambiguous" || resp.Header.Get(api.HeaderRelay) != "cloud" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for _, method := range []string{"TRACE", "CONNECT"} {
		if resp, _ := f.Do(method, relay+"/x", "", "Authorization", f.Bearer()); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	for _, path := range []string{"/v1/connections/none/relay/x", strings.ToUpper(relay) + "/x", "/v1/connections/relay/x"} {
		if resp, body := f.Do("GET", path, "", "Authorization", f.Bearer()); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// What a member's request carries for the cloud, or says of itself, does not reach the server in any spelling.
func TestRelayStripsRequests(t *testing.T) { eachWay(t, who.RelayLimits{}, doStripsRequests) }

func doStripsRequests(t *testing.T, f *fixture) {
	headers := make(chan http.Header, 1)
	relay, _ := f.behind(func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	cookie := f.Cookie("ann@acme.test", "acme")
	const evil = "evil-value"
	hostile := []string{"X-Ace-Subject", "x-ace-subject", "X_Ace_Subject", "X-Ace_Org", "X.Ace.Scopes", "X-ACE-Key-Id", "X~Ace~Subject", "X-Ace-Relay-Hops",
		"X_Api_Key", "X.Api-Key", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Whatever", "X_Forwarded_For", "X-Real-Ip",
		"True-Client-Ip", "Cf-Connecting-Ip", "Referer", "Sec-Fetch-Mode", "Sec-Ch-Ua", "Proxy-Authorization", "Proxy-Connection",
		"Keep-Alive", "X-Hop", "X-Http-Method-Override", "Cookie2"}
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.Server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var raw strings.Builder
	raw.WriteString("GET " + relay + "/x HTTP/1.1\r\nHost: " + strings.TrimPrefix(f.Server, "http://") + "\r\nCookie: " + cookie + "; other=" + evil +
		"\r\nAuthorization: Basic " + evil + "\r\nX-Ace-Relay: 1\r\nOrigin: " + f.Server + "\r\nVia: 1.1 another\r\nX-Kept: yes\r\n")
	for _, name := range hostile {
		raw.WriteString(name + ": " + evil + "\r\n")
	}
	// Named hop by hop, what the relay sets itself is set nevertheless.
	raw.WriteString("Connection: close, X-Hop, X-Api-Key, X-Ace-User, Via\r\n\r\n")
	if _, err := io.WriteString(conn, raw.String()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	got := <-headers
	for name, values := range got {
		if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, evil) || strings.Contains(v, cookie) }) {
			t.Errorf("the server saw %s: %v", name, values)
		}
	}
	if got.Get("X-Api-Key") != plainKey || len(got["X-Api-Key"]) != 1 || got.Get("X-Kept") != "yes" || got.Get("Origin") != "" ||
		!strings.Contains(got.Get("Via"), "1.1 ace-") || got.Get("Authorization") != "" {
		t.Errorf("the server saw %v", got)
	}
}

// The member of an ace server's connection is named by a token of their own, and a plain key is the server's to see only.
func TestRelayCredentials(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dsn string) {
		f := start(t, dsn)
		key := storetest.AceKey()
		var server bridge.ServerURL
		subjects := make(chan string, 1)
		ts := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			claims, err := bridge.VerifyAccess(bridge.NewSecret(r.Header.Get("X-Api-Key")), key.PublicKey(), []bridge.ServerURL{server}, f.Clock())
			if err != nil {
				t.Error(err)
			}
			subjects <- claims.Subject + " " + string(claims.Role)
		}))
		t.Cleanup(ts.Close)
		server = bridge.ServerURL(ts.URL)
		connection := f.Register(f.Ann, ts.URL, key.Text().Reveal())
		relay := "/v1/connections/" + connection.ID + "/relay"
		member := f.memberToken("max@acme.test", bridge.RoleMember)
		serviceID, service := f.Key("connection:use")
		_, reader := f.Key("connection:read")
		call := func(credential bridge.Secret) (int, bridge.Code) {
			resp, body := f.Do("GET", relay+"/x", "", "X-Ace-Api-Key", credential.Reveal())
			if resp.StatusCode != http.StatusOK {
				return resp.StatusCode, codeOf(t, body)
			}
			return resp.StatusCode, bridge.Code(<-subjects)
		}
		if status, code := call(member); status != http.StatusNotFound || code != "connection_unknown" {
			t.Errorf("a private connection: %d %s", status, code)
		}
		f.share(connection.ID, connections.Organization)
		for range 2 { // the second comes from what was looked up for the first
			if status, subject := call(f.Token); status != 200 || subject != "ann@acme.test admin" {
				t.Errorf("the admin: %d %s", status, subject)
			}
			if status, subject := call(member); status != 200 || subject != "max@acme.test member" {
				t.Errorf("the member: %d %s", status, subject)
			}
			if status, subject := call(service); status != 200 || subject != bridge.Code("key:")+bridge.Code(serviceID)+" member" {
				t.Errorf("the service: %d %s", status, subject)
			}
			if status, code := call(reader); status != 403 || code != "scope_missing" {
				t.Errorf("a key without the scope: %d %s", status, code)
			}
		}
		f.Advance(2 * time.Minute) // the token is renewed well before it dies
		if status, subject := call(member); status != 200 || subject != "max@acme.test member" {
			t.Errorf("two minutes later: %d %s", status, subject)
		}
		if uses := f.Audited("connection.relay"); len(uses) != 3 {
			t.Errorf("%d uses are audited, not one a day for each of three: %+v", len(uses), uses)
		}
		f.Advance(25 * time.Hour)
		f.Token = f.DeveloperToken("ann@acme.test", "acme")
		_, _ = call(f.Token)
		if uses := f.Audited("connection.relay"); len(uses) != 4 {
			t.Errorf("%d uses are audited a day later: %+v", len(uses), uses)
		}
	})
}

func TestRelayWithACookie(t *testing.T) { eachWay(t, who.RelayLimits{}, doWithACookie) }

func doWithACookie(t *testing.T, f *fixture) {
	relay, _ := f.behind(func(http.ResponseWriter, *http.Request) {})
	cookie := f.Cookie("ann@acme.test", "acme")
	handshake := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	for name, c := range map[string]struct {
		method  string
		headers []string
		code    bridge.Code
	}{
		"the dashboard":            {"GET", []string{"X-Ace-Relay", "1"}, ""},
		"with its origin":          {"POST", []string{"X-Ace-Relay", "1", "Origin", f.Server}, ""},
		"no header":                {"GET", nil, "relay_header_missing"},
		"a form":                   {"POST", []string{"Origin", f.Server}, "relay_header_missing"},
		"another value":            {"GET", []string{"X-Ace-Relay", "true"}, "relay_header_missing"},
		"another origin":           {"GET", []string{"X-Ace-Relay", "1", "Origin", "https://evil.example"}, "cross_origin"},
		"no origin of a page":      {"GET", []string{"X-Ace-Relay", "1", "Origin", "null"}, "cross_origin"},
		"a service worker":         {"GET", []string{"X-Ace-Relay", "1", "Service-Worker", "script"}, "service_worker_refused"},
		"a WebSocket of another":   {"GET", append([]string{"Origin", "https://evil.example"}, handshake...), "cross_origin"},
		"a WebSocket of nobody":    {"GET", handshake, "cross_origin"},
		"not quite a WebSocket":    {"GET", []string{"Origin", f.Server, "Connection", "Upgrade", "Upgrade", "websocket"}, "upgrade_refused"},
		"a basic credential":       {"GET", []string{"Authorization", "Basic eDp5"}, "relay_header_missing"},
		"a cross-site POST":        {"POST", []string{"X-Ace-Relay", "1", "Sec-Fetch-Site", "cross-site"}, "cross_origin"},
		"a WebSocket with a token": {"GET", append([]string{"Authorization", f.Bearer(), "X-Without", "origin"}, handshake...), "-"},
	} {
		resp, body := f.Do(c.method, relay+"/x", "", append([]string{"Cookie", cookie}, c.headers...)...)
		switch {
		case c.code == "-": // lets it through to the server, which is none for WebSockets
			if resp.Header.Get(api.HeaderRelay) != "server" {
				t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
		case c.code == "" && resp.StatusCode == http.StatusOK:
		case c.code == "" || codeOf(t, body) != c.code:
			t.Errorf("%s: %d %s, want %q", name, resp.StatusCode, body, c.code)
		}
	}
}

func TestRelayLimits(t *testing.T) {
	eachWay(t, who.RelayLimits{Answer: 50 * time.Millisecond, Silence: 100 * time.Millisecond, Body: 10, Member: 2}, doLimits)
}

func doLimits(t *testing.T, f *fixture) {
	release := make(chan struct{})
	relay, connection := f.behind(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/silent":
			_, _ = io.WriteString(w, "so far")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	resp, body := f.Do("GET", relay+"/slow", "", "Authorization", f.Bearer())
	if resp.StatusCode != http.StatusGatewayTimeout || codeOf(t, body) != "server_slow" || resp.Header.Get(api.HeaderRelay) != "cloud" {
		t.Errorf("slow: %d %s", resp.StatusCode, body)
	}
	resp = f.send(f.request("GET", relay+"/silent", nil))
	if got, err := io.ReadAll(resp.Body); string(got) != "so far" || err == nil {
		t.Errorf("a silent stream ends with %q %v", got, err)
	}
	resp, body = f.Do("POST", relay+"/x", "more than ten bytes", "Authorization", f.Bearer())
	if resp.StatusCode != http.StatusRequestEntityTooLarge || codeOf(t, body) != "body_too_large" {
		t.Errorf("a large body: %d %s", resp.StatusCode, body)
	}
	resp = f.send(f.request("POST", relay+"/x", io.NopCloser(strings.NewReader("more than ten bytes, of no declared length"))))
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body in chunks: %d", resp.StatusCode)
	}

	// A server that is gone, one that loops, and more than is allowed at a time.
	port := f.Server[strings.LastIndexByte(f.Server, ':'):]
	for name, c := range map[string]struct {
		url    string
		status int
		code   bridge.Code
	}{
		"the cloud itself": {f.Server, 508, "relay_loop"}, "a blocked address": {"https://10.1.2.3", 502, "server_unreachable"},
		"plain http":           {"http://ace.example.com", 502, "server_unreachable"},
		"nothing there":        {"http://127.0.0.1:1", 502, "server_unreachable"},
		"by another name":      {"http://localhost" + port + "/v1/connections/" + connection.ID + "/relay", 508, "relay_loop"},
		"metadata of the host": {"http://169.254.169.254", 502, "server_unreachable"},
	} {
		looped := f.Register(f.Ann, c.url, f.Token.Reveal())
		resp, body := f.Do("GET", "/v1/connections/"+looped.ID+"/relay/x", "", "Authorization", f.Bearer())
		if resp.StatusCode != c.status || codeOf(t, body) != c.code {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func TestRelayIsBusy(t *testing.T) {
	for name, limits := range map[string]who.RelayLimits{"member": {Member: 2}, "connection": {Connection: 2}, "organization": {Total: 8}} {
		f := startWith(t, sqldbtest.SQLite(t), limits)
		relay, _ := f.behind(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		open := [2]*http.Response{}
		for i := range open {
			open[i] = f.send(f.request("GET", relay+"/x", nil))
		}
		resp, body := f.Do("GET", relay+"/x", "", "Authorization", f.Bearer())
		if resp.StatusCode != http.StatusTooManyRequests || codeOf(t, body) != "relay_busy" || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}
