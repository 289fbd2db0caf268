package accounts

import (
	"github.com/acebridge/ace/bridge"
)

// ForAnother is the refusal of an invitation that is for another address.
func ForAnother(o OfferedInvitation, email string) error {
	return bridge.E(bridge.Forbidden, bridge.CodeInvitationForAnother, "this invitation is for %s, and not for %s", o.Email, email).
		WithHint("sign in as %s, or ask %s for another one", o.Email, o.InvitedBy)
}
