package connections

import (
	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// maxCeiling bounds the scopes of a ceiling, in bytes: they travel in every access token.
const maxCeiling = 3 << 10

// MaxPresetName bounds the name of a server's preset, in bytes.
const MaxPresetName = 64

// errPlain says why there are no limits over a plain key.
var errPlain = bridge.E(bridge.Conflict, bridge.CodeCeilingPlain,
	"the connection's key is a plain one, whose server would not keep to scopes: members can be given all of it, or nothing").
	WithHint("shut members out with: ace connections limit NAME MEMBER --none; or connect an ace server")

// ceilingScopes checks the scopes of a ceiling of the connection, and returns them as they are stored.
func (c Connection) ceilingScopes(to api.Ceiling) (string, error) {
	switch {
	case c.Secret == "":
		return "", bridge.E(bridge.Conflict, bridge.CodeCredentialErased,
			"the connection has no key that could be limited: its URL was changed").
			WithHint("connect again: %s", c.ConnectAgain())
	case !c.Ace:
		return "", errPlain
	case !bridge.PlainText(to.Preset, MaxPresetName):
		return "", bridge.E(bridge.Invalid, bridge.CodeCeilingMalformed, "the preset's name is not at most %d bytes of plain text",
			MaxPresetName)
	}
	scopes, err := bridge.NewScopes(to.Scopes)
	if err != nil {
		return "", err
	}
	text := scopes.String()
	if text == "" || len(text) > maxCeiling {
		return "", bridge.E(bridge.Invalid, bridge.CodeCeilingMalformed, "a ceiling has 1 to %d scopes, of at most %d bytes in all",
			bridge.MaxScopes, maxCeiling).
			WithHint("to let nobody use it: ace connections unshare %s", c.ID)
	}
	return text, nil
}

// setCeiling gives the connection a ceiling, or none. A ceiling from a preset has the preset's scopes as well, since only its
// server says what the preset contains.
func (c *Connection) setCeiling(p accounts.Principal, to *api.Ceiling) error {
	if err := p.RequireShare(); err != nil {
		return err
	}
	if to == nil {
		c.ceiling, c.preset = "", ""
		return nil
	}
	scopes, err := c.ceilingScopes(*to)
	if err != nil {
		return err
	}
	c.ceiling, c.preset = scopes, bridge.OneForm(to.Preset)
	return nil
}

// ceilingText describes the ceiling for the audit log.
func (c Connection) ceilingText() string {
	if c.ceiling == "" {
		return "none"
	}
	return presetText(c.preset, c.ceiling)
}

func presetText(preset, scopes string) string {
	if preset == "" {
		return scopes
	}
	return "preset " + preset + ": " + scopes
}
