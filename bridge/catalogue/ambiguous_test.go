package catalogue_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
)

const adminRules = `
scopes: {"admin": "administer", "app": "use"}
presets: {}
roles: {viewer: {scopes: [app]}, member: {scopes: [app]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
no_match: authenticated
rules:
- {path: "/admin", require: [admin]}
- {path: "/admin/{rest...}", require: [admin]}
- {path: "/tools", methods: [POST], tool: body.tool, tools: [{names: ["wiki_*"], require: [app]}]}
`

// TestAmbiguousPaths checks that nobody reaches /admin by a path that another parser would take for it.
func TestAmbiguousPaths(t *testing.T) {
	strict, err := catalogue.Parse([]byte(adminRules))
	if err != nil {
		t.Fatal(err)
	}
	slashes, err := catalogue.Parse([]byte(adminRules + "encoded_slash: allow\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalogue.Parse([]byte(adminRules + "encoded_slash: yes please\n")); bridge.CodeOf(err) != "catalogue_invalid" {
		t.Errorf("another word: %v", err)
	}
	const no = "path_ambiguous"
	for path, want := range map[string][2]string{ // without and with encoded slashes
		"/open": {}, "/a%20b/%E2%82%AC": {}, "/100%25": {}, "/a.b/..c": {}, "/adm%69n": {"scope_missing", "scope_missing"}, "/admin/": {"scope_missing", "scope_missing"},
		"/admin%23x": {no, no}, "/admin%3fx": {no, no}, "/admin%3Fx": {no, no}, "/admin%3bx": {no, no}, "/admin;x": {no, no}, "/admin?x": {no, no}, "/admin#x": {no, no},
		"/admin%5cx": {no, no}, "/admin\\x": {no, no}, "/admin%00": {no, no}, "/admin%0a": {no, no}, "/admin%0D": {no, no}, "/admin%09": {no, no}, "/admin%7f": {no, no}, "/admin%c2%85": {no, no},
		"/x/../admin": {no, no}, "/x/%2e%2e/admin": {no, no}, "//admin": {no, no}, "/./admin": {no, no}, "/%2e/admin": {no, no}, "/..;/admin": {no, no},
		"/admin%ff": {no, no}, "/%c0%afadmin": {no, no}, "/admin%2523x": {no, no}, "/admin%25253fx": {no, no}, "/x%252f..%252fadmin": {no, no}, "/admin%zz": {no, no},
		"/admin%EF%BC%8Fx": {no, no}, "/x%EF%BC%8F%E2%80%A5%EF%BC%8Fadmin": {no, no}, "/x/%EF%BC%8E%EF%BC%8E/admin": {no, no}, "/admin%EF%BC%9Bx": {no, no}, "/admin%EF%BC%9Fx": {no, no}, "/admin%EF%BC%83x": {no, no},
		"/admin%EF%BC%BCx": {no, no}, "/%EF%BC%852e%EF%BC%852e/admin": {no, no}, "/%EF%BD%81dmin": {no, no}, "/ad%E2%80%8Bmin": {no, no}, "/admin%E2%80%AE": {no, no}, "/%E2%93%90dmin": {no, no}, "/ADMIN": {no, no},
		"/%e0%80%afadmin": {no, no}, "/admin%c1%9c": {no, no}, "/admin%u002f": {no, no}, "/admin%%32%66": {no, no}, "/admin%2": {no, no}, "/admin/%252e%252e": {no, no}, "/x%2525252f..": {no, no}, "/admin%25%32%33x": {no, no},
		"/admin%5C": {no, no}, "/admin%0b": {no, no}, "/admin%1f": {no, no}, "/admin%7F": {no, no}, "admin": {no, no}, "": {no, no}, "*": {no, no}, "/admin;jsessionid=1": {no, no}, "/;/admin": {no, no}, "/admin%3Bx": {no, no},
		"/caf%C3%A9/%E6%97%A5%E6%9C%AC": {}, "/a+b": {}, "/a:b@c,d=e&f!": {}, "/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9": {},
		"/projects/group%2Fname": {no, ""}, "/projects/group%2fname%2F": {no, ""}, "/@scope%2Fpkg": {no, ""}, "/queues/%2F/q": {no, ""}, "/%2F": {no, ""}, "/a%2F%2Fb": {no, ""},
		"/x%2F..%2Fadmin": {no, no}, "/..%2Fadmin": {no, no}, "/x/..%2f": {no, no}, "/x%2f.": {no, no}, "/x%2f%2e%2e": {no, no}, "/admin/a%2Fb": {no, "scope_missing"}, "/x%5c..%5cadmin": {no, no},
	} {
		for i, c := range []catalogue.Catalogue{strict, slashes} {
			if got := cause(c.Decide(holding("acme", "app"), get(path))); got != bridge.Code(want[i]) {
				t.Errorf("%s, encoded slashes %v: %q, want %q", path, i == 1, got, want[i])
			}
		}
	}
}

func TestMethodOverrides(t *testing.T) {
	c, err := catalogue.Parse([]byte(adminRules))
	if err != nil {
		t.Fatal(err)
	}
	const form, no = "application/x-www-form-urlencoded", "override_parameter"
	many := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\nDELETE\r\n--b--\r\n"
	}
	for _, test := range []struct {
		query, contentType, body string
		want                     bridge.Code
	}{
		{"", "", "", ""}, {"method=DELETE&methods=x&a_method=1", "", "", ""},
		{"_method=DELETE", "", "", bridge.CodeOverrideParameter}, {"_METHOD=delete", "", "",
			bridge.CodeOverrideParameter}, {"a=1&%5Fmethod=x", "", "", bridge.CodeOverrideParameter}, {"a=1;_method=x", "", "", bridge.CodeOverrideParameter}, {"_method[]=x", "", "", bridge.CodeOverrideParameter},
		{"_method%00x=DELETE", "", "", bridge.CodeOverrideParameter}, {"%255Fmethod=x", "", "",
			bridge.CodeOverrideParameter}, {"%25255fmethod=x", "", "", bridge.CodeOverrideParameter}, {"[method=x", "", "", bridge.CodeOverrideParameter}, {"_method%5B0%5D=x", "", "", bridge.CodeOverrideParameter}, {"%EF%BC%BFmethod=x", "", "", bridge.CodeOverrideParameter}, {"_method.x=1", "", "", ""},
		{"%E2%80%8B_method=x", "", "", bridge.CodeOverrideParameter}, {"%0A_method=x", "", "",
			bridge.CodeOverrideParameter}, {"_method%20=x", "", "", bridge.CodeOverrideParameter}, {"X_HTTP_Method=x", "", "", bridge.CodeOverrideParameter}, {"a%00&_method=x", "", "", bridge.CodeOverrideParameter}, {"a=1&amp;_method=x", "", "", bridge.CodeOverrideParameter}, {"a=1%26_method=x", "", "", ""}, {"", form, "%EF%BB%BF_method=x", bridge.CodeOverrideParameter}, {"", form, "\xef\xbb\xbf_method=x", bridge.CodeOverrideParameter},
		{"", form, "%00_method=x", bridge.CodeOverrideParameter}, {"", form, "\r\n_method=x", bridge.CodeOverrideParameter},
		{"_method", "", "", bridge.CodeOverrideParameter}, {".method=x", "", "", bridge.CodeOverrideParameter}, {"+_method=x", "", "",
			bridge.CodeOverrideParameter}, {"-Method=x", "", "", bridge.CodeOverrideParameter}, {"x-http-method-override=x", "", "", bridge.CodeOverrideParameter}, {"a=%zz&_method=x", "", "", bridge.CodeOverrideParameter},
		{"", form, "a=1&b=_method", ""}, {"", form, "a=1&_method=DELETE", bridge.CodeOverrideParameter}, {"", form, "_Method=DELETE",
			bridge.CodeOverrideParameter}, {"", form + "; charset=utf-8", "%5f%6dethod=DELETE", bridge.CodeOverrideParameter},
		{"", "APPLICATION/X-WWW-FORM-URLENCODED", "_method=x", bridge.CodeOverrideParameter}, {"", form + "; bad;;", "_method=x",
			bridge.CodeOverrideParameter}, {"", "text/plain", "_method=x", ""},
		{"", "multipart/form-data; boundary=b", many("ok"), ""}, {"", "multipart/form-data; boundary=b", many("_method"),
			bridge.CodeOverrideParameter}, {"", "multipart/form-data; boundary=b", many("_METHOD[]"), bridge.CodeOverrideParameter},
		{"", "multipart/form-data; boundary=other", many("_method"), bridge.CodeOverrideParameter},
		{"", "multipart/form-data; boundary=b", many("_method\"; name*=utf-8''a; x=\""), bridge.CodeOverrideParameter}, {"",
			"multipart/form-data; boundary=b", many("a\"; name*=utf-8''%5Fmethod; x=\""), bridge.CodeOverrideParameter},
		{"", "multipart/form-data; boundary=b", many("a\"\r\nContent-Disposition: form-data; name=\"_method"),
			bridge.CodeOverrideParameter}, {"", "multipart/form-data; boundary=b", many("a\"; filename*=utf-8''f; x=\""), ""},
	} {
		r := post("/open", test.body)
		r.RawQuery = test.query
		if r.Header = (http.Header{}); test.contentType != "" {
			r.Header.Set("Content-Type", test.contentType)
		}
		if got := cause(c.Decide(holding("acme", "app"), r)); got != test.want {
			t.Errorf("?%s %s %s: %q, want %q", test.query, test.contentType, test.body, got, test.want)
		}
	}
	for name, want := range map[string]bridge.Code{"X-Http-Method-Override": "override_header", "X_HTTP_METHOD": "override_header",
		"X-Rewrite-Url": "override_header", "X-Rewrite-Uri": "override_header",
		"X-Override-Url": "override_header", "Method-Override": "override_header", "Http-Method-Override": "override_header", "X-Method": "override_header", "X-Http-Path-Override": "override_header", "X-Methods": ""} {
		r := get("/open")
		r.Header = http.Header{name: {"DELETE"}}
		if got := cause(c.Decide(holding("acme", "app"), r)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for body, want := range map[string]bridge.Code{`{"tool":"wiki_list"}`: "",
		`{"tool":"wiki_list","_method":"DELETE"}`: bridge.CodeOverrideParameter, `{"tool":"wiki_list","_METHOD":1}`: bridge.CodeOverrideParameter, `{"tool":"wiki_list","x":{"_method":"x"}}`: "",
		`{"tool":"wiki_list","tool":"x"}`: "body_malformed", `{"tool":"wiki_list","\u0074ool":"x"}`: "body_malformed", `{"tool":"wiki_list","Tool":"x"}`: "body_ambiguous", `{"tool":"wiki_list","to_ol":"x"}`: "body_ambiguous",
		`{"TOOL":"wiki_list"}`: "body_ambiguous", `{"tool":"wiki_list"}{}`: "body_malformed", "\ufeff{\"tool\":\"wiki_list\"}": "body_malformed", `{"tool":["wiki_list"]}`: "value_malformed", `{"tool":"wiki_\ud800"}`: "body_text"} {
		if got := cause(c.Decide(holding("acme", "app"), post("/tools", body))); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	for tool, want := range map[string]bridge.Code{`wiki_list`: "", "wiki_e\u0301": "operation_malformed",
		"wiki_\u212a": "operation_malformed", "wiki_\u200b": "operation_malformed", "wiki_\u202e": "operation_malformed", `wiki_\u0007`: "operation_malformed", `wiki_\n`: "operation_malformed", `wiki_\u0085`: "operation_malformed",
		`wiki_` + strings.Repeat("x", 300): "operation_malformed", ``: "operation_malformed"} {
		if got := cause(c.Decide(holding("acme", "app"), post("/tools", `{"tool":"`+tool+`"}`))); got != want {
			t.Errorf("tool %q: %q, want %q", tool, got, want)
		}
	}
}

// TestAmbiguousQueries checks that a value is found under every name by which an app may read it, or the request is refused.
func TestAmbiguousQueries(t *testing.T) {
	c, err := catalogue.Parse([]byte(`
scopes: {"team:<name>": "a team"}
presets: {}
roles: {viewer: {scopes: ["team:*"]}, member: {scopes: ["team:*"]}, admin: {scopes: ["*"]}, owner: {scopes: ["*"]}}
no_match: deny
rules:
- {path: "/q", require: ["team:{query.team_id}"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	const ok, no, twice, broken = "", "value_missing", "value_ambiguous", "query_ambiguous"
	for query, want := range map[string]bridge.Code{
		"team_id=red": ok, "x=1&team_id=red": ok, "team%5Fid=red": ok, "team_id=red&team": ok, "team_id=blue": "scope_missing", "": bridge.CodeValueMissing, "team_id": bridge.CodeValueMissing, "team_id=": bridge.CodeValueMissing, "TEAM=red": bridge.CodeValueMissing,
		"team_id=red&team_id=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id=red": bridge.CodeValueAmbiguous, "team_id=red&TEAM_ID=blue": bridge.CodeValueAmbiguous, "team_id=red&team-id=blue": bridge.CodeValueAmbiguous, "team_id=red&teamId=blue": bridge.CodeValueAmbiguous, "team_id=red&team.id=blue": bridge.CodeValueAmbiguous,
		"team_id=red&team+id=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id[]=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id%5B0%5D=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id%00=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id%00x=blue": bridge.CodeValueAmbiguous,
		"team_id=red&%2574eam_id=blue": bridge.CodeValueAmbiguous, "team_id=red&%252574eam_id=blue": bridge.CodeValueAmbiguous, "team_id=red&%20team_id=blue": bridge.CodeValueAmbiguous, "team_id=red&team_id%09=blue": bridge.CodeValueAmbiguous, "team_id=red&%E2%80%8Bteam_id=blue": bridge.CodeValueAmbiguous,
		"team_id=red&%EF%BD%94eam_id=blue": bridge.CodeValueAmbiguous, "team_id=red&team%EF%BC%BFid=blue": bridge.CodeValueAmbiguous, "Team_Id=red": bridge.CodeValueAmbiguous, "teamid=red": bridge.CodeValueAmbiguous,
		"team_id=red;team_id=blue": bridge.CodeQueryAmbiguous, "team_id=red&x=%zz": bridge.CodeQueryAmbiguous, "team_id=red&x=1;y": bridge.CodeQueryAmbiguous, "team_id=%": bridge.CodeQueryAmbiguous,
	} {
		r := get("/q")
		r.RawQuery = query
		if got := cause(c.Decide(holding("acme", "team:red"), r)); got != want {
			t.Errorf("?%s: %q, want %q", query, got, want)
		}
	}
}

func FuzzAmbiguousPath(f *testing.F) {
	c, err := catalogue.Parse([]byte(adminRules))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/admin", "/open/%2e%2e/admin", "/%25%32%66", "/%EF%BC%8Fadmin", "/admin%23"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if c.Decide(holding("acme", "app"), get(path)) != nil {
			return
		}
		// Whatever passes means the same to a reader that decodes as often as it can.
		for range 6 {
			if lower := strings.ToLower(path); strings.Contains(lower, "/admin") && (strings.HasPrefix(lower, "/admin/") || lower == "/admin") || strings.Contains(path, "/../") || strings.ContainsAny(path, "\\;#?\x00\n") {
				t.Fatalf("%q passes", path)
			}
			next, err := url.PathUnescape(path)
			if err != nil {
				return
			}
			path = next
		}
	})
}
