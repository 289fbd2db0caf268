package registry

import (
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
)

// The texts of mails. They are plain: what a person has to see of a mail is who writes, why, and where the link goes.

func (r *Registry) sign(lines ...string) bridge.Secret {
	return bridge.NewSecret(strings.Join(lines, "\n\n") + "\n\n--\nace, " + string(r.cfg.Issuer) + "\n")
}

func from(address string) string {
	if address == "" {
		return ""
	}
	return " from the address " + address
}

// linkText is the mail with a link that works once.
func (r *Registry) linkText(purpose string, token bridge.Secret, address string) (subject string, text bridge.Secret) {
	link := r.cfg.Issuer.Join("/"+purpose) + "?token=" + token.Reveal()
	life := fmt.Sprintf("It works once, for %d hours.", int(linkLife[purpose].Hours()))
	if purpose == PurposeVerify {
		return "Confirm your e-mail address", r.sign("Somebody, hopefully you, has an account with this e-mail address.",
			"To confirm that the address is yours, open this link. "+life, link, "If that was not you, do nothing.")
	}
	return "A new password", r.sign("Somebody, hopefully you, has asked for a new password"+from(address)+".",
		"To set one, open this link. It works once, for one hour.", link, "If that was not you, do nothing: your password stays as it is.")
}

// noPasswordText answers the wish for a new password of somebody who never had one.
func (r *Registry) noPasswordText(address string) (subject string, text bridge.Secret) {
	return "A new password", r.sign("Somebody, hopefully you, has asked for a new password"+from(address)+".",
		"Your account has no password: you sign in through your organization.")
}

func (r *Registry) noticeText(what, address string) (subject string, text bridge.Secret) {
	return what, r.sign(what+from(address)+".",
		"If that was not you, set a new password at once, which ends all sessions: "+r.cfg.Issuer.Join("/forgot"))
}
