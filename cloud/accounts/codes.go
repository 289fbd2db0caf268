package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

const codeLife = time.Minute // short, as RFC 6749 section 4.1.2 asks: the program is waiting for it

// CodeGrant is the request that an authorization code answers.
type CodeGrant struct {
	ClientID    string
	RedirectURI string // where the code is sent
	Challenge   string // PKCE, S256 (RFC 7636 section 4.2)
}

// IssueCode makes the authorization code of an approved request, for the caller's person and organization.
func (st *Sessions) IssueCode(ctx context.Context, caller Caller, g CodeGrant) (bridge.Secret, error) {
	code := bridge.NewSecret(bridge.RandomToken(32))
	now := st.db.Now()
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO codes (hash, client_id, redirect_uri, challenge, user_id, org_id,
			provider_id, created_at, expires_at, used_at, session_id, member_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', $10)`,
			schema.Hash(code), g.ClientID, g.RedirectURI, g.Challenge, caller.UserID, caller.OrgID, caller.Provider, now.Unix(),
			now.Add(codeLife).Unix(), caller.Member); err != nil {
			return fmt.Errorf("issue a code: %w", err)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "code.issue", Target: "client:" + g.ClientID,
			Details: map[string]string{"redirect_uri": g.RedirectURI}})
	})
	if err != nil {
		return bridge.Secret{}, err
	}
	return code, nil
}

// RedeemCode opens the session of an authorization code. A code is good for one try, right or wrong. A second try means that
// it has leaked, so it ends the session that the first one opened (RFC 6749 section 4.1.2). Every refusal is invalid_grant.
func (st *Sessions) RedeemCode(ctx context.Context, code, verifier bridge.Secret, clientID, redirectURI string, actor audit.Actor) (Session, error) {
	now := st.db.Now()
	var s Session
	var answer error
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		answer = nil
		first, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE codes SET used_at = $1 WHERE hash = $2 AND client_id = $3 AND used_at = 0",
			now.Unix(), schema.Hash(code), clientID))
		if err != nil {
			return fmt.Errorf("redeem a code: %w", err)
		}
		o := Opening{Method: MethodCode}
		var challenge, redirect, opened string
		var expires int64
		err = tx.QueryRowContext(ctx, `SELECT c.challenge, c.redirect_uri, c.user_id, o.slug, c.provider_id, c.member_id, c.session_id,
			c.expires_at FROM codes c JOIN organizations o ON o.id = c.org_id WHERE c.hash = $1 AND c.client_id = $2`,
			schema.Hash(code), clientID).Scan(&challenge, &redirect, &o.UserID, &o.Org, &o.Provider, &o.member, &opened, &expires)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return oauthError(bridge.CodeInvalidGrant, "the code is not known")
		case err != nil:
			return fmt.Errorf("redeem a code: %w", err)
		case !first:
			answer = oauthError(bridge.CodeInvalidGrant, "the code has been used")
			if opened == "" {
				return nil
			}
			actor.ID = "session:" + opened
			return endSession(ctx, tx, opened, "authorization code reused", now, actor)
		case expires <= now.Unix():
			answer = oauthError(bridge.CodeInvalidGrant, "the code has expired")
			return nil
		case redirect != redirectURI:
			answer = oauthError(bridge.CodeInvalidGrant, "the redirect_uri is not the one that the code was sent to")
			return nil
		case !answers(challenge, verifier):
			answer = oauthError(bridge.CodeInvalidGrant, "the code_verifier does not answer the code_challenge")
			return nil
		}
		s, err = st.OpenIn(ctx, tx, o, actor)
		if err != nil && bridge.AsError(err).Kind == bridge.Forbidden {
			answer = oauthError(bridge.CodeInvalidGrant, "the one who approved is not a member any more")
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE codes SET session_id = $1 WHERE hash = $2", s.Principal.SessionID, schema.Hash(code))
		return err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// answers reports whether a PKCE verifier matches an S256 challenge (RFC 7636 section 4.6).
func answers(challenge string, verifier bridge.Secret) bool {
	if n := verifier.Len(); n < 43 || n > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
