package cloud

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// routeSharing is the API of who uses a connection, and how much of it.
func (c *Cloud) routeSharing(v1 *echo.Group) {
	v1.GET("/connections/:id/sharing", c.may("connection:read", c.getSharing))
	v1.POST("/connections/:id/sharing/presets", c.may("connection:share", c.refreshPresets))
	v1.PUT("/connections/:id/members/:user", c.may("connection:share", c.putMemberLimit))
	v1.DELETE("/connections/:id/members/:user", c.may("connection:share", c.deleteMemberLimit))
}

func (c *Cloud) getSharing(ctx echo.Context, p accounts.Principal) error {
	sharing, err := c.registry.Connections.Sharing(ctx.Request().Context(), p, ctx.Param("id"), ctx.QueryParam("cursor"), api.PageLimit(ctx))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, sharing)
}

func (c *Cloud) refreshPresets(ctx echo.Context, p accounts.Principal) error {
	if err := c.readPresets(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
		return err
	}
	return c.getSharing(ctx, p)
}

// changeConnectionTo patches a connection. What a ceiling's preset stands for is found out first.
func (c *Cloud) changeConnectionTo(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (api.Connection, error) {
	if patch.Ceiling.To != nil {
		ceiling, err := c.standsFor(ctx.Request().Context(), p, id, *patch.Ceiling.To)
		if err != nil {
			return api.Connection{}, err
		}
		patch.Ceiling.To = &ceiling
	}
	changed, err := c.registry.Connections.Patch(ctx.Request().Context(), caller(ctx, p), id, patch)
	if bridge.CodeOf(err) != bridge.CodeKeyCannotActAs || patch.Visibility == nil {
		return changed, err
	}
	// Whether the key may act as others may not be known yet: a check asks its server.
	if checked, failed := c.check(ctx.Request().Context(), p, id); failed != nil || checked.OwnerOnly {
		return changed, err
	}
	return c.registry.Connections.Patch(ctx.Request().Context(), caller(ctx, p), id, patch)
}

func (c *Cloud) putMemberLimit(ctx echo.Context, p accounts.Principal) error {
	body, err := api.Decode[api.MemberLimit](ctx)
	if err != nil {
		return err
	}
	member, err := c.limitMember(ctx, p, ctx.Param("id"), ctx.Param("user"), body)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}

func (c *Cloud) limitMember(ctx echo.Context, p accounts.Principal, id, user string, l api.MemberLimit) (api.SharingMember, error) {
	subject, err := c.exceptee(ctx.Request().Context(), p, user)
	if err != nil {
		return api.SharingMember{}, err
	}
	if l.Access == connections.AccessLimited {
		if l.Ceiling, err = c.standsFor(ctx.Request().Context(), p, id, l.Ceiling); err != nil {
			return api.SharingMember{}, err
		}
	}
	return c.registry.Connections.LimitMember(ctx.Request().Context(), caller(ctx, p), id, subject, l)
}

func (c *Cloud) deleteMemberLimit(ctx echo.Context, p accounts.Principal) error {
	member, err := c.unlimitMember(ctx, p, ctx.Param("id"), ctx.Param("user"))
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, member)
}

func (c *Cloud) unlimitMember(ctx echo.Context, p accounts.Principal, id, user string) (api.SharingMember, error) {
	subject, err := c.exceptee(ctx.Request().Context(), p, user)
	if err != nil {
		return api.SharingMember{}, err
	}
	return c.registry.Connections.UnlimitMember(ctx.Request().Context(), caller(ctx, p), id, subject)
}

// exceptee is for whom an exception is to be: an ID may be that of a member or of an API key of the organization. A personal
// access token is its person, and cannot be told apart from them.
func (c *Cloud) exceptee(ctx context.Context, p accounts.Principal, user string) (connections.Exceptee, error) {
	subject := connections.Exceptee{ID: user}
	id, err := uuid.Parse(user)
	if err != nil || id.String() != user {
		return subject, nil // which is nobody's; the registry says so
	}
	record, err := c.keys.Get(ctx, keys.View{Org: p.Org}, id)
	switch {
	case bridge.CodeOf(err) == bridge.CodeKeyUnknown:
		return subject, nil
	case err != nil:
		return subject, err
	case record.Kind == bridge.KindPAT:
		return subject, bridge.E(bridge.Invalid, bridge.CodeLimitToken,
			"a personal access token does what its person may: limit %s instead", record.Owner)
	}
	subject.Key = true
	return subject, nil
}
