package accounts

import (
	"github.com/acebridge/ace/bridge"
)

// RequireShare refuses a principal who may not share connections with the organization or limit members on them.
func (p Principal) RequireShare() error {
	if p.Can("connection:share") {
		return nil
	}
	return bridge.E(bridge.Forbidden, bridge.CodeShareAdmin,
		"only an admin may share a connection with the organization, and say what members may do over it").
		WithHint("ask an admin of %s", p.Org)
}
