package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/signin"
)

// Guess runs one check of a secret, rate-limited by address and in total.
//
// Only failures count, so that an office behind one address can sign in at nine o'clock without waiting. Simultaneous attempts
// count until they succeed.
func (w *Finder) Guess(ctx echo.Context, check func() error) error {
	key := bridge.AddressKey(ctx.RealIP())
	if err := w.logins.Allow(key); err != nil {
		return err
	}
	err := check()
	if kind := bridge.AsError(err).Kind; err == nil || kind == bridge.Internal || kind == bridge.Unavailable {
		w.logins.Return(key)
	}
	return err
}

// Authenticate checks a password, rate-limited by address and in total.
//
// The limit per account is in cloud/lockout, which tells strangers from devices that the person has used before: with one
// limit for both, anyone who keeps guessing could lock the person out.
func (w *Finder) Authenticate(ctx echo.Context, l signin.Login) (signin.Authenticated, error) {
	var person signin.Authenticated
	err := w.Guess(ctx, func() (err error) {
		person, err = w.signin.Authenticate(ctx.Request().Context(), l, Anonymous(ctx))
		return err
	})
	if bridge.CodeOf(err) == bridge.CodeEmailUnverified {
		// Someone with the password gets another link, since the first mail may be lost.
		if merr := w.links.StartVerification(ctx.Request().Context(), person.ID, Anonymous(ctx)); merr != nil {
			if Ours(merr) {
				return person, merr
			}
			e := bridge.AsError(merr)
			hint := "It cannot be confirmed now: " + e.Detail + "."
			if !w.outbox.SendsMail() {
				hint = "This cloud sends no mail: sign in through your organization's provider, or ask the operator to vouch for your address (`ace cloud user add`)."
			}
			return person, bridge.AsError(err).WithHint("%s", hint)
		}
	}
	return person, err
}
