package signin

import (
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/outbox"
)

// The mails say who writes, why, and where the link goes, in plain text.

// linkText is the mail with a link that works once.
func (st *Links) linkText(purpose string, token bridge.Secret, address string) (subject string, text bridge.Secret) {
	link := st.issuer.Join("/"+purpose) + "?token=" + token.Reveal()
	life := fmt.Sprintf("It works once, for %d hours.", int(linkLife[purpose].Hours()))
	if purpose == PurposeVerify {
		return "Confirm your e-mail address", st.outbox.Sign("Somebody, hopefully you, has an account with this e-mail address.",
			"To confirm that the address is yours, open this link. "+life, link, "If that was not you, do nothing.")
	}
	return "A new password", st.outbox.Sign("Somebody, hopefully you, has asked for a new password"+outbox.From(address)+".",
		"To set one, open this link. It works once, for one hour.", link, "If that was not you, do nothing: your password stays as it is.")
}

// noPasswordText is the mail to a person who asks for a new password and never had one.
func (st *Links) noPasswordText(address string) (subject string, text bridge.Secret) {
	return "A new password", st.outbox.Sign("Somebody, hopefully you, has asked for a new password"+outbox.From(address)+".",
		"Your account has no password: you sign in through your organization.")
}
