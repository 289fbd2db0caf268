package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
)

// The texts of mails. They are plain: what a person has to see of a mail is who writes, why, and where the link goes.

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

// The pages of the links that belong to a change of address.
const (
	AddressPath     = "/address"      // of the one to the new address
	AddressStopPath = "/address/stop" // of the one to the old address
)

// newAddressMail is the mail to the new address. It does not name the account: the address may be a stranger's, by mistake.
func (r *Registry) newAddressMail(c AddressChange, token bridge.Secret, actor audit.Actor) queued {
	text := r.sign("Somebody, hopefully you, wants to use this e-mail address for their account"+from(actor.Address)+".",
		"To do so, open this link and sign in as before. It works once, for 24 hours.", r.mailedLink(AddressPath, token),
		"If that was not you, do nothing: no account gets this address.")
	return queued{kind: mailText, to: c.To, subject: "Confirm your new e-mail address", text: text, life: AddressLife, actor: actor}
}

func (r *Registry) oldAddressMail(c AddressChange, stop bridge.Secret, actor audit.Actor) queued {
	text := r.sign("Somebody, hopefully you, has asked to change the e-mail address of your account to "+c.To+from(actor.Address)+".",
		"It is changed once the link that was mailed there is opened. To stop it, open this one:", r.mailedLink(AddressStopPath, stop),
		"If that was not you, stop it and set a new password, which ends all sessions: "+r.cfg.Issuer.Join("/forgot"))
	return queued{kind: mailText, to: c.From, subject: "Your e-mail address is about to change", text: text, life: AddressLife, actor: actor}
}

// tellMoved tells the old address that the account has moved. If no mail can be sent, the change stands.
func (r *Registry) tellMoved(ctx context.Context, tx *sql.Tx, old, to string, actor audit.Actor) error {
	const subject = "The e-mail address of your account was changed"
	text := r.sign(subject+" to "+to+from(actor.Address)+". All sessions and personal access tokens have ended.",
		"If that was not you, tell an admin of your organization, or the operator of this cloud, at once.")
	err := r.queueMail(ctx, tx, queued{kind: mailText, to: old, subject: subject, text: text, life: noticeLife, actor: actor})
	if refusal, ok := errors.AsType[*bridge.Error](err); ok && refusal.Kind == bridge.Unavailable && !sqldb.IsFault(err) {
		r.log.Warn("the old address could not be told that an account has moved", "cause", refusal.Detail)
		return nil
	}
	return err
}
