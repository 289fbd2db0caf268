package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
)

func (s *Server) createKey(c echo.Context) error {
	who, err := s.authorize(c, "key:create")
	if err != nil {
		return err
	}
	body, err := api.Decode[api.CreateKeyRequest](c)
	if err != nil {
		return err
	}
	key, record, err := s.keys.Mint(c.Request().Context(), s.by(c, who), keys.Wish{
		Kind: bridge.KeyKind(body.Kind), Name: body.Name, Description: body.Description, Preset: body.Preset,
		Scopes: body.Scopes, ExpiresIn: body.ExpiresIn, AllowFrom: body.AllowFrom, Rate: body.Rate, MaxUses: body.MaxUses,
	})
	if err != nil {
		return err
	}
	return s.created(c, http.StatusCreated, key, record)
}

// created answers with a secret, which is shown this once.
func (s *Server) created(c echo.Context, status int, key bridge.Key, record keys.Record) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(status, api.CreatedKey{Key: key.Text().Disclose(), APIKey: record.API(s.cfg.Now())})
}

// by is the caller as the one who asks for a change.
func (s *Server) by(c echo.Context, who caller) keys.By {
	actor := s.actor(c, who.actor())
	actor.Key = who.key()
	return keys.By{Actor: actor, Who: who.Identity}
}

func (s *Server) listKeys(c echo.Context) error {
	who, err := s.authorize(c, "key:list")
	if err != nil {
		return err
	}
	records, next, err := s.keys.List(c.Request().Context(), keys.ViewOf(who.Identity), c.QueryParam("cursor"), api.PageLimit(c))
	if err != nil {
		return err
	}
	list := api.List[api.APIKey]{Items: make([]api.APIKey, 0, len(records)), NextCursor: next}
	for _, r := range records {
		list.Items = append(list.Items, r.API(s.cfg.Now()))
	}
	return c.JSON(http.StatusOK, list)
}

func keyID(c echo.Context) (uuid.UUID, error) {
	text := c.Param("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.UUID{}, bridge.E(bridge.Invalid, "key_id_malformed", "the key ID is not a UUID")
	}
	return id, nil
}

func (s *Server) getKey(c echo.Context) error {
	who, err := s.authorize(c, "key:read")
	if err != nil {
		return err
	}
	id, err := keyID(c)
	if err != nil {
		return err
	}
	record, err := s.keys.Get(c.Request().Context(), keys.ViewOf(who.Identity), id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, record.API(s.cfg.Now()))
}

// reissue answers with a new secret of an existing key.
func (s *Server) reissue(c echo.Context, do func(by keys.By, id uuid.UUID) (bridge.Key, keys.Record, error)) error {
	who, err := s.authorize(c, "key:create")
	if err != nil {
		return err
	}
	id, err := keyID(c)
	if err != nil {
		return err
	}
	key, record, err := do(s.by(c, who), id)
	if err != nil {
		return err
	}
	return s.created(c, http.StatusOK, key, record)
}

func (s *Server) reviveKey(c echo.Context) error {
	return s.reissue(c, func(by keys.By, id uuid.UUID) (bridge.Key, keys.Record, error) {
		body, err := api.Decode[api.ReviveKeyRequest](c)
		if err != nil {
			return bridge.Key{}, keys.Record{}, err
		}
		return s.keys.Revive(c.Request().Context(), by, id, body.ExpiresIn)
	})
}

func (s *Server) rotateKey(c echo.Context) error {
	return s.reissue(c, func(by keys.By, id uuid.UUID) (bridge.Key, keys.Record, error) {
		body, err := api.Decode[api.RotateKeyRequest](c)
		if err != nil {
			return bridge.Key{}, keys.Record{}, err
		}
		return s.keys.Rotate(c.Request().Context(), by, id, keys.Rotation{Grace: body.Grace, ExpiresIn: body.ExpiresIn,
			Idempotency: bridge.NewSecret(c.Request().Header.Get(api.HeaderIdempotencyKey))})
	})
}

// switchKey answers with the key as it is after a change.
func (s *Server) switchKey(c echo.Context, need bridge.Scope, do func(context.Context, keys.By, uuid.UUID) (keys.Record, error)) error {
	who, err := s.authorize(c, need)
	if err != nil {
		return err
	}
	id, err := keyID(c)
	if err != nil {
		return err
	}
	record, err := do(c.Request().Context(), s.by(c, who), id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, record.API(s.cfg.Now()))
}

func (s *Server) disableKey(c echo.Context) error {
	return s.switchKey(c, "key:revoke", s.keys.Disable)
}

func (s *Server) enableKey(c echo.Context) error { return s.switchKey(c, "key:create", s.keys.Enable) }

// scopes is the catalogue: for forms, for help, and for guards elsewhere, which decide by its rules.
func (s *Server) scopes(c echo.Context) error {
	if _, err := s.authenticate(c); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.cfg.Catalogue.File())
}

// revokeKey takes the scope key:revoke, or a revocation that is signed with the key itself.
func (s *Server) revokeKey(c echo.Context) error {
	id, err := keyID(c)
	if err != nil {
		return err
	}
	presented, err := bridge.Credential(c.Request().Header)
	if err != nil {
		return err
	}
	record, err := func() (keys.Record, error) {
		if bridge.TokenType(presented.Value) != bridge.TypeRevocation {
			who, err := s.authorize(c, "key:revoke")
			if err != nil {
				return keys.Record{}, err
			}
			return s.keys.Revoke(c.Request().Context(), s.by(c, who), id, "revoked by "+who.Subject)
		}
		if err := s.exchange.Allow(api.AddressKey(c.RealIP())); err != nil {
			return keys.Record{}, err
		}
		if named, err := bridge.TokenKeyID(presented.Value); err != nil || named != id {
			return keys.Record{}, bridge.E(bridge.Unauthenticated, "revocation_invalid", "the revocation is for another key")
		}
		return s.keys.RevokeSigned(c.Request().Context(), s.actor(c, ""), presented.Value)
	}()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, record.API(s.cfg.Now()))
}

// me says who the credential is; its first use confirms an exchanged key.
func (s *Server) me(c echo.Context) error {
	who, err := s.authenticate(c)
	if err != nil {
		return err
	}
	id := api.Identity{Type: who.Type, Subject: who.Subject, Org: who.Org, Environment: who.Environment,
		Scopes: who.Scopes.Strings()}
	if who.KeyID != uuid.Nil {
		id.KeyID = who.KeyID.String()
		record, err := s.keys.Get(c.Request().Context(), keys.View{Org: who.Org}, who.KeyID)
		if err != nil {
			return err
		}
		id.Name = record.Name
	}
	if !who.ExpiresAt.IsZero() {
		expires := who.ExpiresAt.UTC()
		id.ExpiresAt = &expires
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, id)
}

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
