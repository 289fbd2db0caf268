package relay

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/guard"
	"github.com/acebridge/ace/cloud/tokens"
)

// Wherever a server redirects to, a browser is led through its own relay or nowhere.
func FuzzLocation(f *testing.F) {
	for _, s := range []string{"next", "/base/x?y#z", "//evil.example", "https://ace.test/base", "https://ace.test/base/%2e%2e", "\\\\evil", "javascript:x",
		"https://ACE.test:443/base/ü", "/base/;x", "?", "#", "/base/..;/x", "/base/%", "https:base", "/base\t/x"} {
		f.Add(s)
	}
	server := bridge.ServerURL("https://ace.test/base")
	call := &relayed{terms: &accessTerms{AccessTerms: tokens.AccessTerms{Connection: "ID"}}, target: &relayTarget{server: server, url: server.URL()}}
	cloudURL, _ := url.Parse("https://cloud.test/v1/connections/ID/relay/dir/page")
	f.Fuzz(func(t *testing.T, location string) {
		resp := &http.Response{Header: http.Header{"Location": {location}}, Request: &http.Request{URL: server.URL().JoinPath("dir/page")}}
		(&calls{}).location(call, resp)
		got, ok := resp.Header["Location"]
		if !ok {
			return
		}
		to, err := cloudURL.Parse(got[0])
		if err != nil || to.Scheme != "https" || to.Host != "cloud.test" || to.User != nil || len(got) != 1 ||
			!strings.HasPrefix(to.EscapedPath(), "/v1/connections/ID/relay/") || bridge.AmbiguousPath(to.EscapedPath()) {
			t.Errorf("%q becomes %q", location, got)
		}
	})
}

// Whatever path is asked for, what is called is below the connection's server.
func FuzzRelayPath(f *testing.F) {
	for _, s := range []string{"ID/relay/x", "ID/relay/", "ID/relay/%2e%2e/x", "ID/relay//x", "a/b/relay/x", "/relay/x", "ID/relay/%zz", "ID/relay/x?y=z", "%2f/relay/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		u, err := url.ParseRequestURI(relayPrefix + rest)
		if err != nil {
			return
		}
		connection, path, err := relayPath(&http.Request{Method: http.MethodGet, URL: u, RequestURI: relayPrefix + rest, Header: http.Header{}})
		if err != nil {
			return
		}
		if strings.Contains(connection, "/") || !strings.HasPrefix(path, "/") || guard.Climbs(path) ||
			!strings.HasPrefix(relayPrefix+rest, relayPrefix+connection+"/relay"+path) && relayPrefix+connection+"/relay"+path != u.EscapedPath() {
			t.Errorf("%q is %q at %q", rest, path, connection)
		}
	})
}
