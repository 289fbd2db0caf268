package server

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys"
	"github.com/acebridge/ace/server/link"
)

const (
	exchangeEvery  = 2 * time.Second // per address: after the burst, one more try in this time
	exchangeBurst  = 20
	exchangeGlobal = 200
)

// exchangeToken turns a connect token into an API key. It is the only endpoint that accepts a cloud JWT.
func (s *Server) exchangeToken(c echo.Context) error {
	if err := link.RequireDirect(c.Request().Context()); err != nil {
		return err
	}
	actor := s.actor(c, "unknown")
	if err := s.exchange.Allow(bridge.AddressKey(c.RealIP())); err != nil {
		return err
	}
	answer, err := s.doExchange(c, &actor)
	if err != nil {
		s.refusals.audit(actor, "key.exchange", api.Refusal{Path: c.Request().URL.Path}, err)
		return err
	}
	s.tellNumbers(c, bridge.KindSK)
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusCreated, answer)
}

// doExchange verifies a connect token and creates its key. It fills in the actor as soon as it knows who connects.
func (s *Server) doExchange(c echo.Context, actor *audit.Actor) (api.ExchangeAnswer, error) {
	var none api.ExchangeAnswer
	body, err := api.Decode[api.ExchangeRequest](c)
	if err != nil {
		return none, err
	}
	presented, err := bridge.Credential(c.Request().Header)
	if err != nil {
		return none, err
	}
	if err := s.keys.Trouble(); err != nil {
		return none, err
	}
	now := s.cfg.Now()
	trusted := s.trust.now()
	claims, err := trusted.VerifyConnect(presented.Value, s.audiences, now)
	if err != nil {
		return none, err
	}
	owner := claims.Email
	if owner == "" {
		owner = claims.Subject
	}
	actor.ID = "user:" + owner
	if !claims.Role.AtLeast(bridge.RoleMember) {
		return none, bridge.E(bridge.Forbidden, bridge.CodeConnectRoleViewer, "a viewer cannot connect a server").
			WithHint("ask an admin of %s for the role member", claims.Org)
	}
	name := body.Name
	if name == "" {
		name = "connection of " + owner
	}
	life := min(time.Duration(claims.KeyLife)*time.Second, bridge.DefaultKeyLife)
	replaces, _ := uuid.Parse(claims.Replaces) // VerifyConnect has checked it; empty becomes zero
	key, record, err := s.keys.Create(c.Request().Context(), *actor, keys.NewKey{
		Kind: bridge.KindSK, Name: name, Org: claims.Org, Owner: owner, Role: claims.Role,
		Scopes: s.cfg.Catalogue.WithOrg(s.cfg.Catalogue.Ceiling(claims.Role).Cap(claims.Scopes()), claims.Org), ExpiresAt: now.Add(life),
		Replaces: replaces,
		Exchange: &keys.Exchange{Issuer: claims.Issuer, JTI: claims.JTI, Issued: time.Unix(claims.IssuedAt, 0), Expires: time.Unix(claims.ExpiresAt, 0)},
	})
	if err != nil {
		return none, err
	}
	answer := api.ExchangeAnswer{
		KeyID: record.ID.String(), Prefix: record.Prefix, Org: record.Org, Scopes: record.Scopes.Strings(),
		ExpiresAt: record.ExpiresAt.UTC(), ConfirmBy: record.ConfirmBy.UTC(),
	}
	if answer.LinkKey, err = s.links.Issue(c.Request().Context(), record, trusted); err != nil {
		return none, err
	}
	if claims.Sealing == "" {
		disclosed := key.Text().Disclose()
		answer.Key = &disclosed
		return answer, nil
	}
	// If a key cannot be sealed, nobody ever sees it; it lapses unconfirmed.
	answer.SealedKey, err = bridge.Seal(claims.Sealing, claims.Binding(), key)
	return answer, err
}
