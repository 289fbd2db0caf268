package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/outbox"
)

// The texts of mails. They are plain: what a person has to see of a mail is who writes, why, and where the link goes.

// linkText is the mail with a link that works once.
func (st *Store) linkText(purpose string, token bridge.Secret, address string) (subject string, text bridge.Secret) {
	link := st.issuer.Join("/"+purpose) + "?token=" + token.Reveal()
	life := fmt.Sprintf("It works once, for %d hours.", int(linkLife[purpose].Hours()))
	if purpose == PurposeVerify {
		return "Confirm your e-mail address", st.outbox.Sign("Somebody, hopefully you, has an account with this e-mail address.",
			"To confirm that the address is yours, open this link. "+life, link, "If that was not you, do nothing.")
	}
	return "A new password", st.outbox.Sign("Somebody, hopefully you, has asked for a new password"+outbox.From(address)+".",
		"To set one, open this link. It works once, for one hour.", link, "If that was not you, do nothing: your password stays as it is.")
}

// noPasswordText answers the wish for a new password of somebody who never had one.
func (st *Store) noPasswordText(address string) (subject string, text bridge.Secret) {
	return "A new password", st.outbox.Sign("Somebody, hopefully you, has asked for a new password"+outbox.From(address)+".",
		"Your account has no password: you sign in through your organization.")
}

// The pages of the links that belong to a change of address.
const (
	AddressPath     = "/address"      // of the one to the new address
	AddressStopPath = "/address/stop" // of the one to the old address
)

// newAddressMail is the mail to the new address. It does not name the account: the address may be a stranger's, by mistake.
func (st *Store) newAddressMail(c AddressChange, token bridge.Secret, actor audit.Actor) outbox.Message {
	text := st.outbox.Sign("Somebody, hopefully you, wants to use this e-mail address for their account"+outbox.From(actor.Address)+".",
		"To do so, open this link and sign in as before. It works once, for 24 hours.", st.outbox.Link(AddressPath, token),
		"If that was not you, do nothing: no account gets this address.")
	return outbox.Message{Kind: outbox.KindText, To: c.To, Subject: "Confirm your new e-mail address", Text: text, Life: AddressLife, Actor: actor}
}

func (st *Store) oldAddressMail(c AddressChange, stop bridge.Secret, actor audit.Actor) outbox.Message {
	text := st.outbox.Sign("Somebody, hopefully you, has asked to change the e-mail address of your account to "+c.To+outbox.From(actor.Address)+".",
		"It is changed once the link that was mailed there is opened. To stop it, open this one:", st.outbox.Link(AddressStopPath, stop),
		"If that was not you, stop it and set a new password, which ends all sessions: "+st.issuer.Join("/forgot"))
	return outbox.Message{Kind: outbox.KindText, To: c.From, Subject: "Your e-mail address is about to change", Text: text, Life: AddressLife, Actor: actor}
}

// tellMoved tells the old address that the account has moved. If no mail can be sent, the change stands.
func (st *Store) tellMoved(ctx context.Context, tx *sql.Tx, old, to string, actor audit.Actor) error {
	const subject = "The e-mail address of your account was changed"
	text := st.outbox.Sign(subject+" to "+to+outbox.From(actor.Address)+". All sessions and personal access tokens have ended.",
		"If that was not you, tell an admin of your organization, or the operator of this cloud, at once.")
	err := st.outbox.Queue(ctx, tx, outbox.Message{Kind: outbox.KindText, To: old, Subject: subject, Text: text, Life: outbox.NoticeLife, Actor: actor})
	if refusal, ok := errors.AsType[*bridge.Error](err); ok && refusal.Kind == bridge.Unavailable && !sqldb.IsFault(err) {
		st.log.Warn("the old address could not be told that an account has moved", "cause", refusal.Detail)
		return nil
	}
	return err
}
