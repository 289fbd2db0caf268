package main

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/e2e/world"
)

const leaked = "canary-7f3a"

// malformed are values with a secret in them, none of which is what any variable or flag wants.
var malformed = []string{
	leaked, "https://user:" + leaked + "@host:port/", "https://" + leaked + ":x@host", "http://host:" + leaked, "postgres://user:" + leaked + "@h:p/db", "smtp://user:" + leaked + "@h:port",
	"smtp://user:" + leaked + "/x@h", "https://user:" + leaked + "%zz@h/", "https://h/?password=" + leaked, "password=" + leaked + " host=h", "1." + leaked, leaked + ",," + leaked, "[" + leaked, "x\n" + leaked,
	"\xff\xfe" + leaked, leaked + "\xe9", leaked + "\x00",
}

// TestNoVariableIsRepeated: a variable with a mistake is named, and its value is not.
func TestNoVariableIsRepeated(t *testing.T) {
	check := func(name, value string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if strings.Contains(text, leaked) {
				t.Errorf("%s=%q: %s", name, value, text)
			}
		}
	}
	for _, value := range malformed {
		if strings.Contains(value, "\x00") {
			continue // no variable can have it
		}
		for _, name := range []string{"ACE_KEY", "ACE_TOKEN", "ACE_API_KEY_SECRET"} {
			ace := world.NewTerminal(t, name+"="+value, "ACE_ENV=http://127.0.0.1:1")
			r := ace.Run("", "connections", "list", "--debug")
			check(name, value, r.Stdout, r.Stderr)
		}
	}
}

// TestNoProxyIsRepeated: the password of a proxy is in no message, with --debug neither.
func TestNoProxyIsRepeated(t *testing.T) {
	for _, proxy := range []string{"http://user:" + leaked + "@127.0.0.1:1", "http://user:" + leaked + "@127.0.0.1:port", "http://" + leaked + "%zz@127.0.0.1:1", leaked + "://x y"} {
		ace := world.NewTerminal(t, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "ACE_KEY=x", "ACE_ENV=https://cloud.invalid")
		r := ace.Run("", "connections", "list", "--debug")
		if r.Code == 0 || strings.Contains(r.Stdout+r.Stderr, leaked) {
			t.Errorf("%s: %d %s", proxy, r.Code, r.Stderr)
		}
	}
}
