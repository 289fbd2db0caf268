package addresses

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/outbox"
)

// The paths of the pages that the links open.
const (
	Path     = "/address"      // from the mail to the new address
	StopPath = "/address/stop" // from the mail to the old address
)

// newMail is the mail to the new address. It does not name the account: the address may be a stranger's, by mistake.
func (st *Store) newMail(c Change, token bridge.Secret, actor audit.Actor) outbox.Message {
	text := st.outbox.Sign("Somebody, hopefully you, wants to use this e-mail address for their account"+outbox.From(actor.Address)+".",
		"If that was you, open this link and sign in as before. It works once, for 24 hours.", st.outbox.Link(Path, token),
		"If that was not you, do nothing: no account will get this address.")
	return outbox.Message{Kind: outbox.KindText, To: c.To, Subject: "Confirm your new e-mail address", Text: text, Life: Life, Actor: actor}
}

// oldMail is the mail to the old address.
func (st *Store) oldMail(c Change, stop bridge.Secret, actor audit.Actor) outbox.Message {
	text := st.outbox.Sign("Somebody, hopefully you, has asked to change the e-mail address of your account to "+c.To+outbox.From(actor.Address)+".",
		"The address changes once the link that was mailed there is opened. To stop the change, open this one:", st.outbox.Link(StopPath, stop),
		"If that was not you, stop the change and set a new password, which ends all sessions: "+st.issuer.Join("/forgot"))
	return outbox.Message{Kind: outbox.KindText, To: c.From, Subject: "Your e-mail address is about to change", Text: text, Life: Life, Actor: actor}
}

// tellMoved tells the old address that the account has moved. The change stands if no mail can be sent.
func (st *Store) tellMoved(ctx context.Context, tx *sql.Tx, old, to string, actor audit.Actor) error {
	const subject = "The e-mail address of your account was changed"
	text := st.outbox.Sign(subject+" to "+to+outbox.From(actor.Address)+". All sessions and personal access tokens have ended.",
		"If that was not you, tell an admin of your organization or the operator of this cloud at once.")
	err := st.outbox.Queue(ctx, tx, outbox.Message{Kind: outbox.KindText, To: old, Subject: subject, Text: text, Life: outbox.NoticeLife, Actor: actor})
	if refusal, ok := errors.AsType[*bridge.Error](err); ok && refusal.Kind == bridge.Unavailable && !sqldb.IsFault(err) {
		st.log.Warn("the old address could not be told that an account has moved", "cause", refusal.Detail)
		return nil
	}
	return err
}
