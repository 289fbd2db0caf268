package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keyhttp"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/bridge/keys/record"
)

// keyHandlers returns the endpoints for this server's keys.
func (s *Server) keyHandlers() keyhttp.Handlers {
	return keyhttp.Handlers{Keys: s.keys, Authorize: func(c echo.Context, need keyhttp.Need) (keys.By, error) {
		who, err := s.authenticate(c)
		if err != nil {
			return keys.By{}, err
		}
		if err := s.require(c, who, need(who.Identity)); err != nil {
			return keys.By{}, err
		}
		return s.by(c, who), nil
	}}
}

// by describes the caller as the one who asks for a change.
func (s *Server) by(c echo.Context, who caller) keys.By {
	actor := s.actor(c, who.actor())
	actor.Key, actor.Connection = who.key(), who.Connection
	return keys.By{Actor: actor, Who: who.Identity}
}

// scopes answers with the catalogue: for forms and help, and for remote guards, which decide by its rules.
func (s *Server) scopes(c echo.Context) error {
	if _, err := s.authenticate(c); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.cfg.Catalogue.File())
}

// revokeKey revokes a key, for a caller with key:revoke or by a revocation that the key itself has signed.
func (s *Server) revokeKey(c echo.Context) error {
	presented, err := bridge.Credential(c.Request().Header)
	if err != nil {
		return err
	}
	if bridge.TokenType(presented.Value) != bridge.TypeRevocation {
		return s.keyHandlers().Revoke(c)
	}
	return s.signed(c, presented.Value, s.keys.RevokeSigned)
}

// withdrawTokens acts on a withdrawal that the key itself has signed.
func (s *Server) withdrawTokens(c echo.Context) error {
	presented, err := bridge.Credential(c.Request().Header)
	if err != nil {
		return err
	}
	return s.signed(c, presented.Value, s.keys.Withdraw)
}

// signed acts on a statement about the key in the path, which that key must have signed.
func (s *Server) signed(c echo.Context, statement bridge.Secret, act func(context.Context, audit.Actor, bridge.Secret) (record.Record, error)) error {
	id, err := keyhttp.KeyID(c)
	if err != nil {
		return err
	}
	// Someone without the key cannot cause more work than a signature check, which costs no more than for an access token. Only
	// a look into the database is rate-limited: statements must not queue behind other people's junk.
	if !s.keys.Knows(id) {
		if err := s.exchange.Allow(bridge.AddressKey(c.RealIP())); err != nil {
			return err
		}
	}
	if named, err := bridge.TokenKeyID(statement); err != nil || named != id {
		return bridge.E(bridge.Unauthenticated, bridge.CodeStatementInvalid, "the statement is not about this key")
	}
	record, err := act(c.Request().Context(), s.actor(c, ""), statement)
	if err != nil {
		return err
	}
	s.tellNumbers(c, record.Kind)
	return c.JSON(http.StatusOK, s.keys.API(record))
}

// me says who the credential belongs to; its first use confirms an exchanged key.
func (s *Server) me(c echo.Context) error {
	who, err := s.authenticate(c)
	if err != nil {
		return err
	}
	var app *api.AppState
	if who.Probe {
		app = new(s.app.now(c.Request().Context()))
		s.links.Probed(c.Request().Context())
	}
	id := api.Identity{App: app, Type: who.Type, Subject: who.Subject, Org: who.Org, Environment: who.Environment,
		Scopes: who.Scopes.Strings()}
	if who.KeyID != uuid.Nil {
		id.KeyID = who.KeyID.String()
		record, err := s.keys.Behind(c.Request().Context(), who.Identity)
		if err != nil {
			return err
		}
		id.Name, id.Owner, id.Kind, id.Lineage = record.Name, record.Owner, string(record.Kind), record.Lineage.Kind
		id.KeySubject, id.ParentUnknown, id.Limit = record.Lineage.Subject, record.Lineage.ParentUnknown, record.Lineage.Limit.API()
		id.CanActAs = s.keys.CanActAs(who.KeyID)
		if record.Lineage.Parent != uuid.Nil {
			id.Parent = record.Lineage.Parent.String()
		}
		if !record.ExpiresAt.IsZero() {
			id.KeyExpiresAt = new(record.ExpiresAt.UTC())
		}
		if !record.IssuedAt.IsZero() {
			id.KeyIssuedAt = new(record.IssuedAt.UTC())
		}
	}
	if !who.ExpiresAt.IsZero() {
		expires := who.ExpiresAt.UTC()
		id.ExpiresAt = &expires
	}
	s.tellNumbers(c, who.Kind)
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, id)
}

// audit answers with a page of the audit log.
func (s *Server) audit(c echo.Context) error {
	if _, err := s.authorize(c, "audit:read"); err != nil {
		return err
	}
	s.refusals.flush(c.Request().Context())
	entries, next, err := audit.List(c.Request().Context(), s.db, audit.Query{Org: s.org(), Action: c.QueryParam("action"),
		Actor: c.QueryParam("actor"), Target: c.QueryParam("target"), RequestID: c.QueryParam("request_id"), Before: c.QueryParam("cursor"), Limit: api.PageLimit(c)})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, api.List[api.AuditEntry]{Items: entries, NextCursor: next})
}
