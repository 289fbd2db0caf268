package servers

import (
	"context"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/who"
)

// ChangeConnectionTo patches a connection, after resolving the preset of a new ceiling.
func (sv *Servers) ChangeConnectionTo(ctx echo.Context, p accounts.Principal, id string, patch api.ConnectionPatch) (api.Connection, error) {
	if patch.Ceiling.To != nil {
		ceiling, err := sv.resolveCeiling(ctx.Request().Context(), p, id, *patch.Ceiling.To)
		if err != nil {
			return api.Connection{}, err
		}
		patch.Ceiling.To = &ceiling
	}
	changed, err := sv.connections.Patch(ctx.Request().Context(), who.Caller(ctx, p), id, patch)
	if bridge.CodeOf(err) != bridge.CodeKeyCannotActAs || patch.Visibility == nil {
		return changed, err
	}
	// Whether the key may act for others may not be known yet: a check asks its server.
	if checked, failed := sv.Check(ctx.Request().Context(), p, id); failed != nil || checked.OwnerOnly {
		return changed, err
	}
	return sv.connections.Patch(ctx.Request().Context(), who.Caller(ctx, p), id, patch)
}

// LimitMember limits what a member or an API key may do over a connection.
func (sv *Servers) LimitMember(ctx echo.Context, p accounts.Principal, id, user string, l api.MemberLimit) (api.SharingMember, error) {
	subject, err := sv.limitSubject(ctx.Request().Context(), p, user)
	if err != nil {
		return api.SharingMember{}, err
	}
	if l.Access == connections.AccessLimited {
		if l.Ceiling, err = sv.resolveCeiling(ctx.Request().Context(), p, id, l.Ceiling); err != nil {
			return api.SharingMember{}, err
		}
	}
	return sv.connections.LimitMember(ctx.Request().Context(), who.Caller(ctx, p), id, subject, l)
}

// UnlimitMember removes the limit of a member or an API key.
func (sv *Servers) UnlimitMember(ctx echo.Context, p accounts.Principal, id, user string) (api.SharingMember, error) {
	subject, err := sv.limitSubject(ctx.Request().Context(), p, user)
	if err != nil {
		return api.SharingMember{}, err
	}
	return sv.connections.UnlimitMember(ctx.Request().Context(), who.Caller(ctx, p), id, subject)
}

// limitSubject says who an ID stands for: a member, or an API key of the organization. A personal access token counts as its
// person, so it cannot be limited by itself.
func (sv *Servers) limitSubject(ctx context.Context, p accounts.Principal, user string) (connections.LimitSubject, error) {
	subject := connections.LimitSubject{ID: user}
	id, err := uuid.Parse(user)
	if err != nil || id.String() != user {
		return subject, nil // nobody has this ID; cloud/connections says so
	}
	record, err := sv.keys.Get(ctx, keys.View{Org: p.Org}, id)
	switch {
	case bridge.CodeOf(err) == bridge.CodeKeyUnknown:
		return subject, nil
	case err != nil:
		return subject, err
	case record.Kind == bridge.KindPAT:
		return subject, bridge.E(bridge.Invalid, bridge.CodeLimitToken,
			"a personal access token may do whatever its owner may: limit %s instead", record.Owner)
	}
	subject.Key = true
	return subject, nil
}
