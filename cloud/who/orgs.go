package who

import (
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
)

// Invite creates an invitation. It is rate-limited, since it may send mail to any address.
func (w *Finder) Invite(ctx echo.Context, p accounts.Principal, n api.NewInvitation) (api.Invitation, error) {
	if err := w.invitations.Allow("user:"+p.UserID, "org:"+p.OrgID); err != nil {
		return api.Invitation{}, err
	}
	return w.accounts.Invite(ctx.Request().Context(), Caller(ctx, p), p.Org, n)
}
