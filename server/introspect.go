package server

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/api/serving"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/bridge/keys"
)

const maxForm = 64 << 10

// introspect says who a credential belongs to (RFC 7662), for callers with key:read.
//
// Next to the token it takes client_address and user_agent, which describe who presented the token; spend=true, to count a use;
// and method with uri, to ask whether that request may pass. A test key can ask only about test keys, a live key only about live
// ones.
func (s *Server) introspect(c echo.Context) error {
	who, err := s.authorize(c, "key:read")
	if err != nil {
		return err
	}
	q, err := readIntrospection(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	answer := api.Introspection{}
	presented, err := bridge.ParsePresented(q.Token)
	if err != nil {
		return c.JSON(http.StatusOK, answer) // whatever is wrong with the token, it is not active (RFC 7662 section 2.2)
	}
	id, err := authority{s}.Verify(c.Request().Context(), presented, bridge.Use{Address: q.Address, UserAgent: q.UserAgent})
	view := s.keys.ViewOf(who.Identity)
	if err == nil && (id.Org != view.Org || (view.Environment != "" && view.Environment != id.Environment)) {
		return c.JSON(http.StatusOK, answer)
	}
	var decision *api.Decision
	if err == nil && q.Method != "" {
		decision = s.decision(id, q)
	}
	if err == nil && q.Spend && (decision == nil || decision.Allowed) {
		err = s.keys.Spend(c.Request().Context(), id)
	}
	if err != nil {
		if bridge.AsError(err).Kind != bridge.Unauthenticated {
			return err
		}
		_ = s.refusedOf(c, refusedCall{presented: presented, address: q.Address, method: q.Method, path: q.URI}, err)
		return c.JSON(http.StatusOK, answer)
	}
	answer = s.introspection(id)
	answer.Decision = decision
	return c.JSON(http.StatusOK, answer)
}

// introspection converts an identity to the response of RFC 7662 section 2.2.
func (s *Server) introspection(id bridge.Identity) api.Introspection {
	a := api.Introspection{Active: true, Scope: id.Scopes.String(), ClientID: id.Subject, Username: id.Subject, TokenType: "Bearer",
		Sub: id.Subject, Iss: string(s.cfg.PublicURLs[0]), Type: id.Type, Kind: string(id.Kind), Org: id.Org,
		Environment: id.Environment, Role: string(id.Role), Connection: id.Connection, Number: id.Number, Probe: id.Probe, Metered: id.Metered, Counted: id.Counted}
	if id.KeyID != uuid.Nil {
		a.KeyID, a.ClientID = id.KeyID.String(), id.KeyID.String()
		a.Generation = strconv.FormatUint(id.Generation, 16)
	}
	if !id.IssuedAt.IsZero() {
		a.Iat = id.IssuedAt.Unix()
	}
	if !id.ExpiresAt.IsZero() {
		a.Exp = id.ExpiresAt.Unix()
	}
	if !id.WarnFrom.IsZero() {
		a.WarnFrom = id.WarnFrom.Unix()
	}
	return a
}

// decision says whether an identity may make the request that an introspection asks about. It sees neither headers nor body.
func (s *Server) decision(id bridge.Identity, q api.IntrospectRequest) *api.Decision {
	path, query, _ := strings.Cut(q.URI, "?")
	err := s.cfg.Catalogue.Decide(id, catalogue.Request{Method: q.Method, Path: path, RawQuery: query, Header: http.Header{}})
	if err == nil {
		return &api.Decision{Allowed: true}
	}
	cause := causeOf(err)
	return &api.Decision{Code: cause.Code, Scope: string(bridge.AsError(err).Scope), Rule: cause.Detail}
}

// readIntrospection parses and checks the form of an introspection (RFC 7662 section 2.1).
func readIntrospection(c echo.Context) (api.IntrospectRequest, error) {
	var q api.IntrospectRequest
	r := c.Request()
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		return q, bridge.E(bridge.Invalid, bridge.CodeBodyNotForm,
			"the body must be sent as application/x-www-form-urlencoded (RFC 7662 section 2.1)")
	}
	raw, err := api.ReadBody(c.Response(), r, maxForm)
	if err != nil {
		return q, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return q, bridge.E(bridge.Invalid, bridge.CodeBodyMalformed, "the form cannot be read")
	}
	if err := api.CheckText(form); err != nil {
		return q, err
	}
	for name, values := range form {
		if len(values) > 1 {
			return q, bridge.E(bridge.Invalid, bridge.CodeParameterTwice, "the parameter %.40q is given more than once", name)
		}
	}
	q = api.IntrospectRequest{Token: bridge.NewSecret(form.Get("token")), Address: form.Get("client_address"),
		UserAgent: form.Get("user_agent"), Method: form.Get("method"), URI: form.Get("uri"), Spend: form.Get("spend") == "true"}
	if q.Token.IsZero() {
		return q, bridge.E(bridge.Invalid, bridge.CodeTokenMissing, "the parameter token is missing")
	}
	if q.Address != "" && q.Address != api.UnknownAddress {
		addr, err := netip.ParseAddr(q.Address)
		if err != nil {
			return q, bridge.E(bridge.Invalid, bridge.CodeAddressMalformed, "client_address is not an IP address")
		}
		q.Address = addr.Unmap().WithZone("").String() // a zone could be anything of any length
	}
	if (q.Method == "") != (q.URI == "") || (q.Method != "" && !catalogue.ValidMethod(q.Method)) || len(q.URI) > maxURI {
		return q, bridge.E(bridge.Invalid, bridge.CodeRequestMalformed, "method and uri go together, and one is missing or malformed")
	}
	return q, nil
}

// heartbeat is how often the stream of changed keys has a line at least; a guard gives up after five missing ones.
const heartbeat = 2 * time.Second

// revocations streams changed keys to everyone who caches answers of introspect.
//
// Each line is a JSON object ([api.KeyChange]); every two seconds there is a heartbeat. The stream ends when the caller's own key
// dies, or when this server no longer knows which keys are revoked.
func (s *Server) revocations(c echo.Context) error {
	who, err := s.authorize(c, "key:read")
	if err != nil {
		return err
	}
	since, err := strconv.ParseInt(c.QueryParam("since"), 10, 64)
	if c.QueryParam("since") != "" && (err != nil || since < 0) {
		return bridge.E(bridge.Invalid, bridge.CodeSinceMalformed, "since is not a position of this stream")
	}
	ctx, view := c.Request().Context(), s.keys.ViewOf(who.Identity)
	// Read the place in the feed and the position before the older changes, so that nothing is missed in between. A change's line
	// carries the position before it; only a heartbeat says that everything up to its own position has been sent.
	reached, position := since, s.keys.Position()
	_, place, _, changed := s.keys.Changes(0)
	lines := []api.KeyChange{}
	if c.QueryParam("since") != "" {
		ids, _, complete, err := s.keys.ChangedSince(ctx, since)
		if err != nil {
			return err
		}
		if !complete {
			lines = append(lines, api.KeyChange{Reset: true})
		} else {
			lines = s.keyChanges(lines, view, ids)
		}
	}
	h := c.Response().Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	out := json.NewEncoder(c.Response())
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if !s.keys.Fresh() || !s.keys.Alive(who.Identity) {
			return nil
		}
		for _, line := range lines {
			line.Position = reached
			if err := out.Encode(line); err != nil {
				return nil //nolint:nilerr // the listener has gone
			}
		}
		if err := out.Encode(api.KeyChange{Position: position}); err != nil {
			return nil //nolint:nilerr // the listener has gone
		}
		reached = position
		c.Response().Flush()
		select {
		case <-ctx.Done():
			return nil
		case <-serving.Draining(ctx):
			return nil
		case <-beat.C:
		case <-changed:
		}
		position = s.keys.Position()
		var ids []uuid.UUID
		var complete bool
		ids, place, complete, changed = s.keys.Changes(place)
		lines = lines[:0]
		if !complete {
			lines = append(lines, api.KeyChange{Reset: true})
		}
		lines = s.keyChanges(lines, view, ids)
	}
}

// keyChanges appends a line for each changed key that the view includes.
func (s *Server) keyChanges(lines []api.KeyChange, view keys.View, ids []uuid.UUID) []api.KeyChange {
	for _, id := range ids {
		if !s.keys.Sees(view, id) {
			continue // a caller who cannot ask about a key has no answer to forget
		}
		line := api.KeyChange{KeyID: id.String(), Withdrawn: s.keys.Withdrawn(id)}
		line.Numbers, line.Clocks = s.keys.WithdrawnNumbers(id)
		for _, g := range s.keys.Generations(id) {
			generation := api.KeyGeneration{Generation: strconv.FormatUint(g.ID, 16)}
			if !g.Until.IsZero() {
				generation.Until = g.Until.Unix()
			}
			line.Alive = append(line.Alive, generation)
		}
		lines = append(lines, line)
	}
	return lines
}
