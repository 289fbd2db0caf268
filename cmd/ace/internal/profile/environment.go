package profile

import (
	"os"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Variables are the commands' own variables, which cannot be read from files.
var Variables = []string{"ACE_ENV", "ACE_PROFILE", "ACE_KEY", "ACE_TOKEN", Trio[0], Trio[1], Trio[2], authKeyVariable}

// OutsideVariable reads a variable of the CLI, without surrounding white space. A variable of nothing but white space is a
// mistake: a broken template leaves that behind.
func OutsideVariable(name string) (string, error) {
	value := os.Getenv(name)
	text, err := bridge.OutsideText(value)
	switch {
	case err != nil:
		return "", term.Usage("%s: %w", name, err)
	case text == "" && value != "":
		return "", term.Usage("%s: it is only white space", name)
	}
	return text, nil
}

// bearerVariable reads a variable that holds one credential.
func bearerVariable(name string) (bridge.Secret, error) {
	text, err := OutsideVariable(name)
	if err == nil && strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return bridge.Secret{}, term.Usage("%s is not one key or token: it has white space, or something other than ASCII, in the middle", name)
	}
	return bridge.NewSecret(text), err
}

// MaxServiceName is the longest service name, in bytes.
const MaxServiceName = 100

// given is the credential in the environment, and what is ignored there.
type given struct {
	Bearer  bridge.Secret
	Source  string // the variable; empty: there is none
	Service string
	Ignored []string
}

// Trio are the variables that hold an API key in parts.
var Trio = [...]string{"ACE_API_KEY_ID", "ACE_API_KEY_SECRET", "ACE_API_KEY_SERVICE_NAME"}

// FromEnv returns the first of ACE_KEY, the trio and ACE_TOKEN.
func FromEnv() (given, error) {
	var g given
	take := func(bearer bridge.Secret, name string) {
		switch {
		case bearer.IsZero():
		case g.Source == "":
			g.Bearer, g.Source = bearer, name
		default:
			g.Ignored = append(g.Ignored, name+": "+g.Source+" takes precedence")
		}
	}
	bearer, err := bearerVariable("ACE_KEY")
	if err != nil {
		return given{}, err
	}
	take(bearer, "ACE_KEY")
	var have, lack []string
	parts := map[string]string{}
	for _, name := range Trio {
		if parts[name], err = OutsideVariable(name); err != nil {
			return given{}, err
		}
		if parts[name] == "" {
			lack = append(lack, name)
		} else {
			have = append(have, name)
		}
	}
	switch {
	case len(have) == 0:
	case g.Source != "":
		take(bridge.NewSecret("set"), Trio[0])
	case len(lack) > 0:
		return given{}, term.Usage("%s is set without %s", strings.Join(have, " and "), strings.Join(lack, " and ")).
			WithHint("set all three of %s, or none", strings.Join(Trio[:], ", "))
	default:
		key, err := keyOfParts(parts[Trio[0]], bridge.NewSecret(parts[Trio[1]]))
		if err != nil {
			return given{}, err
		}
		take(key, Trio[0])
		var plain bool
		if g.Service, plain = bridge.PlainName(parts[Trio[2]], MaxServiceName); !plain {
			return given{}, term.Usage("%s is not a valid name: it must be text of at most %d bytes", Trio[2], MaxServiceName)
		}
	}
	if bearer, err = bearerVariable("ACE_TOKEN"); err != nil {
		return given{}, err
	}
	take(bearer, "ACE_TOKEN")
	return g, nil
}

// keyOfParts joins a key ID and a key to KEYID.KEY. The key may have the ID before it already.
func keyOfParts(id string, secret bridge.Secret) (bridge.Secret, error) {
	p, err := bridge.ParsePresented(secret)
	if err != nil {
		return bridge.Secret{}, err
	}
	whole := bridge.NewSecret(id + "." + p.Value.Reveal())
	if p, err = bridge.ParsePresented(whole); err != nil {
		return bridge.Secret{}, bridge.E(bridge.Unauthenticated, bridge.CodeCredentialMalformed, "%s is not a key ID", Trio[0]).
			WithHint("set it to the ID that is shown with the key: ace api-key list")
	}
	if _, err := p.Key(); err != nil {
		e := *bridge.AsError(err)
		e.Detail = Trio[1] + ": " + e.Detail
		return bridge.Secret{}, &e
	}
	return whole, nil
}

// SecretVariables are the commands' variables that hold a secret.
var SecretVariables = []string{"ACE_KEY", "ACE_TOKEN", Trio[1], authKeyVariable}
