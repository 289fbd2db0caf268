package run

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/mail"
)

const leaked = "canary-7f3a"

// malformed are values with a secret in them, none of which is what any variable or flag wants.
var malformed = []string{
	leaked, "https://user:" + leaked + "@host:port/", "https://" + leaked + ":x@host", "http://host:" + leaked, "postgres://user:" + leaked + "@h:p/db", "smtp://user:" + leaked + "@h:port",
	"smtp://user:" + leaked + "/x@h", "https://user:" + leaked + "%zz@h/", "https://h/?password=" + leaked, "password=" + leaked + " host=h", "1." + leaked, leaked + ",," + leaked, "[" + leaked, "x\n" + leaked,
	"\xff\xfe" + leaked, leaked + "\xe9", leaked + "\x00",
}

// TestNoSettingWithAMistakeIsRepeated: a variable with a mistake is named, and its value is not.
func TestNoSettingWithAMistakeIsRepeated(t *testing.T) {
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

func TestDrainVariable(t *testing.T) {
	for _, c := range []struct {
		value    string
		loopback bool
		want     time.Duration
		wrong    bool
	}{
		{"", true, 0, false}, {"", false, 3 * time.Second, false}, {"10s", true, 10 * time.Second, false}, {"0s", false, 0, false},
		{"1", false, 0, true}, {"-1s", false, 0, true}, {"1h", false, 0, true}, {"soon", true, 0, true},
	} {
		var wrong []string
		if got := (&CommonEnv{Drain: c.value}).drain(c.loopback, &wrong); (len(wrong) > 0) != c.wrong || !c.wrong && got != c.want {
			t.Errorf("%q: %s %q", c.value, got, wrong)
		}
	}
}
