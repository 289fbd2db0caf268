package dashboard

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// maxShownTokens bounds the join tokens that the page lists.
const maxShownTokens = 50

// joinView is the part of "Add a server" that makes a join token.
type joinView struct {
	MayJoin   bool                  // the reader may make join tokens
	Token     *api.CreatedJoinToken // just made; shown once
	Tokens    []api.JoinToken       // those that still work
	Wish      api.JoinTokenRequest  // as filled in
	JoinError string
}

// makeToken makes a join token and shows it, once.
func (n *newConnection) makeToken(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	sent := ctx.Request().PostForm
	view := newView{Since: n.now().Unix()}
	view.Wish = api.JoinTokenRequest{Share: sent.Get("share") == "yes", Uses: 1}
	var err error
	if text := sent.Get("uses"); text != "" {
		if view.Wish.Uses, err = strconv.Atoi(text); err != nil || view.Wish.Uses < 1 {
			view.Wish.Uses = 1
			err = bridge.E(bridge.Invalid, bridge.CodeJoinTokenMalformed, "the number of servers is not a number above 0")
			view.JoinError = page.Sentence(err)
			return n.render(ctx, p, api.Status(err), view)
		}
	}
	made, err := n.joins.CreateToken(ctx.Request().Context(), who.Caller(ctx, p), view.Wish)
	if err != nil {
		if who.Ours(err) {
			return err
		}
		view.JoinError = page.Sentence(err)
		return n.render(ctx, p, api.Status(err), view)
	}
	view.Token = &made
	return n.render(ctx, p, http.StatusOK, view)
}

// revokeToken ends a join token that still works.
func (n *newConnection) revokeToken(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	if err := n.joins.RevokeToken(ctx.Request().Context(), who.Caller(ctx, p), ctx.Param("id")); err != nil {
		return err
	}
	return ctx.Redirect(http.StatusSeeOther, "/connections/new")
}

// tokens fills in the join tokens that still work, for those who may make them.
func (n *newConnection) tokens(ctx echo.Context, p accounts.Principal, view *newView) error {
	if view.MayJoin = p.Can("connection:manage"); !view.MayJoin {
		return nil
	}
	all, _, err := n.joins.Tokens(ctx.Request().Context(), p, "", maxShownTokens)
	for _, token := range all {
		if token.State == api.JoinActive {
			view.Tokens = append(view.Tokens, token)
		}
	}
	return err
}
