package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/mail"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
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
		for _, spec := range []any{&serverEnv{}, &cloudEnv{}} {
			eachVariable(reflect.ValueOf(spec).Elem(), func(name string, field reflect.Value) {
				text, err := bridge.OutsideText(value)
				if err != nil {
					check(name, value, err.Error())
					return
				}
				setString(field, text)
			})
		}
		e := serverEnv{CommonEnv: CommonEnv{Addr: value, PublicURL: value, TrustedProxies: value, LogLevel: value, LogFormat: value, MetricsAddr: value}}
		var wrong []string
		e.settings("server", "localhost:1", &wrong)
		parseUpstream(value, &wrong)
		origins(value, &wrong)
		prefixes("ACE_RELAY_ALLOW", value, &wrong)
		check("the common variables", value, wrong...)
		_, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: value, JWTSecret: bridge.NewSecret(value)})
		check("ACE_CLOUD_JWT_SECRET", value, texts(err)...)
		_, err = bridge.ParseTrust(bridge.TrustSettings{CloudURL: value})
		check("ACE_CLOUD_URL", value, texts(err)...)
		_, err = bridge.ParseSigningRoot(bridge.NewSecret(value))
		check("ACE_CLOUD_SIGNING_KEY", value, texts(err)...)
		_, err = mail.ParseURL(bridge.NewSecret(value))
		check("ACE_SMTP_URL", value, texts(err)...)
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

func texts(err error) []string {
	if err == nil {
		return nil
	}
	e := bridge.AsError(err)
	out := []string{err.Error(), e.Detail, e.Hint}
	if e.Err != nil {
		out = append(out, e.Err.Error())
	}
	return out
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

// TestKeyWithLineEnd: what a shell or an editor leaves around a key is no part of it.
func TestKeyWithLineEnd(t *testing.T) {
	for _, value := range []string{"tok\n", " tok\r\n", "\ufefftok"} {
		t.Setenv("ACE_KEY", value)
		g, err := profile.FromEnv()
		if err != nil || g.Bearer.Reveal() != "tok" {
			t.Errorf("%q: %q %v", value, g.Bearer.Reveal(), err)
		}
	}
	for _, c := range []struct{ value, want string }{{" \n", "white space"}, {"to\nk", "white space"}, {"té", "ASCII"}, {"\xff\xfet", "UTF-16"}} {
		t.Setenv("ACE_KEY", c.value)
		if _, err := profile.FromEnv(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ACE_KEY") {
			t.Errorf("%q: %v, want %q", c.value, err, c.want)
		}
	}
}
