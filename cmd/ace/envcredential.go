package main

import (
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const maxServiceName = 100

// given is the credential that the environment holds, and all that is set there and does not count.
type given struct {
	bearer  bridge.Secret
	source  string // the variable; empty: there is none
	service string
	ignored []string
}

// trio are the variables that hold an API key in parts.
var trio = [...]string{"ACE_API_KEY_ID", "ACE_API_KEY_SECRET", "ACE_API_KEY_SERVICE_NAME"}

// fromEnv takes ACE_KEY, then the trio of an API key, then ACE_TOKEN.
func fromEnv() (given, error) {
	var g given
	take := func(bearer bridge.Secret, name string) {
		switch {
		case bearer.IsZero():
		case g.source == "":
			g.bearer, g.source = bearer, name
		default:
			g.ignored = append(g.ignored, name+": "+g.source+" counts before it")
		}
	}
	bearer, err := bearerVariable("ACE_KEY")
	if err != nil {
		return given{}, err
	}
	take(bearer, "ACE_KEY")
	var have, lack []string
	parts := map[string]string{}
	for _, name := range trio {
		if parts[name], err = outsideVariable(name); err != nil {
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
	case g.source != "":
		take(bridge.NewSecret("set"), trio[0])
	case len(lack) > 0:
		return given{}, term.Usage("%s is set without %s", strings.Join(have, " and "), strings.Join(lack, " and ")).
			WithHint("set all three of %s, or none", strings.Join(trio[:], ", "))
	default:
		key, err := keyOfParts(parts[trio[0]], bridge.NewSecret(parts[trio[1]]))
		if err != nil {
			return given{}, err
		}
		take(key, trio[0])
		var plain bool
		if g.service, plain = bridge.PlainName(parts[trio[2]], maxServiceName); !plain {
			return given{}, term.Usage("%s is no name: %d bytes of text at most", trio[2], maxServiceName)
		}
	}
	if bearer, err = bearerVariable("ACE_TOKEN"); err != nil {
		return given{}, err
	}
	take(bearer, "ACE_TOKEN")
	return g, nil
}

// keyOfParts is KEYID.KEY of a key ID and its key, which may have the ID before it already.
func keyOfParts(id string, secret bridge.Secret) (bridge.Secret, error) {
	p, err := bridge.ParsePresented(secret)
	if err != nil {
		return bridge.Secret{}, err
	}
	whole := bridge.NewSecret(id + "." + p.Value.Reveal())
	if p, err = bridge.ParsePresented(whole); err != nil {
		return bridge.Secret{}, bridge.E(bridge.Unauthenticated, "credential_malformed", "%s is not a key ID", trio[0]).
			WithHint("set it to the ID that is shown with the key: ace api-key list")
	}
	if _, err := p.Key(); err != nil {
		e := *bridge.AsError(err)
		e.Detail = trio[1] + ": " + e.Detail
		return bridge.Secret{}, &e
	}
	return whole, nil
}
