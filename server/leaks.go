package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

const (
	maxLeakBody = 1 << 20
	maxLeaks    = 1000 // per report
)

// leak is one finding, in our format or as GitHub's secret scanning sends it, in an array.
type leak struct {
	Token bridge.Secret `json:"token"`
	Type  string        `json:"type"`
	URL   string        `json:"url"`
	// Source says where on GitHub it was found: content, commit, issue and so on.
	Source string `json:"source"`
}

// reportLeaks revokes keys that somebody found where they should not be.
//
// It needs no credential: having the key is proof enough, and all it can do is end that key. The answer says for each key whether
// it was this server's, in the format of GitHub's secret scanning partner program, whose payload it accepts.
func (s *Server) reportLeaks(c echo.Context) error {
	if err := s.leaks.Allow(bridge.AddressKey(c.RealIP())); err != nil {
		return err
	}
	if !s.keys.Fresh() { // an unknown key may have been created by another process
		return bridge.E(bridge.Unavailable, bridge.CodeKeysStale, "this server has lost its database; try again")
	}
	found, err := readLeaks(c)
	if err != nil {
		return err
	}
	actor := s.actor(c, "leak report")
	answer := make([]api.LeakReport, 0, len(found))
	reported := map[string]bool{} // each key is handled once, however often a report names it
	for _, l := range found {
		where := l.URL
		if where == "" {
			where = l.Source
		}
		ours, known := reported[l.Token.Reveal()]
		if !known {
			if _, ours, err = s.keys.Leaked(c.Request().Context(), actor, l.Token, where); err != nil {
				return err // the report can be repeated: what is revoked stays revoked
			}
			reported[l.Token.Reveal()] = ours
		}
		hash := sha256.Sum256([]byte(l.Token.Reveal()))
		report := api.LeakReport{TokenHash: base64.StdEncoding.EncodeToString(hash[:]), TokenType: l.Type, Label: "false_positive"}
		if ours {
			report.Label = "true_positive"
		}
		answer = append(answer, report)
	}
	return c.JSON(http.StatusOK, answer)
}

func readLeaks(c echo.Context) ([]leak, error) {
	raw, err := api.ReadBody(c.Response(), c.Request(), maxLeakBody)
	if err != nil {
		return nil, err
	}
	return parseLeaks(raw)
}

// parseLeaks parses {"token": …} or [{"token": …, "type": …, "url": …, "source": …}, …]. Unknown fields are ignored, since GitHub
// may add some.
func parseLeaks(raw []byte) ([]leak, error) {
	bad := bridge.E(bridge.Invalid, bridge.CodeBodyMalformed, `the body is neither {"token": KEY} nor an array of such objects`)
	var found []leak
	if raw = bytes.TrimSpace(raw); bytes.HasPrefix(raw, []byte("[")) {
		if bridge.DecodeStrict(raw, &found) != nil {
			return nil, bad
		}
	} else {
		var one leak
		if bridge.DecodeStrict(raw, &one) != nil {
			return nil, bad
		}
		found = []leak{one}
	}
	if len(found) > maxLeaks {
		return nil, bridge.E(bridge.TooLarge, bridge.CodeTooManyLeaks, "a report can have at most %d keys", maxLeaks)
	}
	for _, l := range found {
		if l.Token.IsZero() {
			return nil, bad
		}
	}
	return found, nil
}
