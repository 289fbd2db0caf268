package catalogue_test

import (
	"net/http"
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

// TestAmbiguousPaths: nobody reaches /admin by a path that another parser would take for it.
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
		"/projects/group%2Fname": {no, ""}, "/projects/group%2fname%2F": {no, ""}, "/@scope%2Fpkg": {no, ""}, "/queues/%2F/q": {no, ""}, "/%2F": {no, ""}, "/a%2F%2Fb": {no, ""},
		"/x%2F..%2Fadmin": {no, no}, "/..%2Fadmin": {no, no}, "/x/..%2f": {no, no}, "/x%2f.": {no, no}, "/x%2f%2e%2e": {no, no}, "/admin/a%2Fb": {no, "scope_missing"}, "/x%5c..%5cadmin": {no, no},
	} {
		for i, c := range []catalogue.Catalogue{strict, slashes} {
			if got := cause(c.Decide(holding("acme", "app"), get(path))); got != want[i] {
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
	for _, test := range []struct{ query, contentType, body, want string }{
		{"", "", "", ""}, {"method=DELETE&methods=x&a_method=1", "", "", ""},
		{"_method=DELETE", "", "", no}, {"_METHOD=delete", "", "", no}, {"a=1&%5Fmethod=x", "", "", no}, {"a=1;_method=x", "", "", no}, {"_method[]=x", "", "", no},
		{"_method", "", "", no}, {".method=x", "", "", no}, {"+_method=x", "", "", no}, {"-Method=x", "", "", no}, {"x-http-method-override=x", "", "", no}, {"a=%zz&_method=x", "", "", no},
		{"", form, "a=1&b=_method", ""}, {"", form, "a=1&_method=DELETE", no}, {"", form, "_Method=DELETE", no}, {"", form + "; charset=utf-8", "%5f%6dethod=DELETE", no},
		{"", "APPLICATION/X-WWW-FORM-URLENCODED", "_method=x", no}, {"", form + "; bad;;", "_method=x", no}, {"", "text/plain", "_method=x", ""},
		{"", "multipart/form-data; boundary=b", many("ok"), ""}, {"", "multipart/form-data; boundary=b", many("_method"), no}, {"", "multipart/form-data; boundary=b", many("_METHOD[]"), no},
		{"", "multipart/form-data; boundary=other", many("_method"), no},
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
	for tool, want := range map[string]string{`wiki_list`: "", `wiki_\u0007`: "operation_malformed", `wiki_\n`: "operation_malformed", `wiki_\u0085`: "operation_malformed",
		`wiki_` + strings.Repeat("x", 300): "operation_malformed", ``: "operation_malformed"} {
		if got := cause(c.Decide(holding("acme", "app"), post("/tools", `{"tool":"`+tool+`"}`))); got != want {
			t.Errorf("tool %q: %q, want %q", tool, got, want)
		}
	}
}
