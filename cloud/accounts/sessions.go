package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// The methods by which a session is opened.
const (
	MethodBrowser   = "browser"            // on the dashboard
	MethodDevice    = "device"             // RFC 8628
	MethodCode      = "authorization_code" // RFC 6749 section 4.1, with PKCE
	MethodPassword  = "password"           // of the CLI, without a browser
	MethodDeveloper = "developer_token"
	MethodAPIKey    = "api_key" // no session: the key itself
	MethodPAT       = "pat"
	MethodProvider  = "provider" // on the dashboard, through the organization's own sign-in provider
)

// The lifetimes of sessions and tokens.
const (
	BrowserLife   = 12 * time.Hour
	DeveloperLife = 3 * time.Hour    // of a password login of the CLI, too
	AccessLife    = 15 * time.Minute // of a session token that comes with a refresh token
	RefreshLife   = 24 * time.Hour   // since the last refresh
)

// methods are the lifetime of each method's sessions, and whether they come with a cookie or a refresh token.
var methods = map[string]struct {
	life            time.Duration
	cookie, refresh bool
}{
	MethodBrowser:   {life: BrowserLife, cookie: true},
	MethodDevice:    {life: RefreshLife, refresh: true},
	MethodCode:      {life: RefreshLife, refresh: true},
	MethodPassword:  {life: DeveloperLife},
	MethodDeveloper: {life: DeveloperLife},
	MethodProvider:  {life: BrowserLife, cookie: true},
}

// Refreshes reports whether the sessions of a method come with refresh tokens.
func Refreshes(method string) bool { return methods[method].refresh }

// Session is an opened or refreshed session. Its method decides whether Cookie or Refresh is set, or neither. Both are stored as
// hashes.
type Session struct {
	Cookie    bridge.Secret
	Refresh   bridge.Secret
	Principal Principal
}

// OpenSession opens a session of a person in an organization, by slug; empty: the first by slug.
func (st *Sessions) OpenSession(ctx context.Context, userID, org, method string, actor audit.Actor) (Session, error) {
	var s Session
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		s, err = st.OpenIn(ctx, tx, Opening{UserID: userID, Org: org, Method: method}, actor)
		return err
	})
	return s, err
}

// Opening is a session to be opened.
type Opening struct {
	UserID   string
	Org      string // slug; empty: the first by slug
	Method   string
	Provider string // ID of the sign-in provider that vouches; empty: none
	member   string // ID of the membership that it must be for; empty: any
}

// OpenIn opens a session within a transaction, and audits it. A person who is not a member, or whose organization requires its
// provider, is refused.
func (st *Sessions) OpenIn(ctx context.Context, tx *sql.Tx, o Opening, actor audit.Actor) (Session, error) {
	id, err := schema.NewID()
	if err != nil {
		return Session{}, err
	}
	now := st.db.Now()
	p := Principal{UserID: o.UserID, SessionID: id, Method: o.Method, Provider: o.Provider}
	err = tx.QueryRowContext(ctx, `SELECT u.email, u.name, o.id, o.slug, m.id, m.role FROM members m
		JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.org_id
		WHERE m.user_id = $1 AND u.verified_at <> 0 AND ($2 = '' OR o.slug = $2) AND ($4 = '' OR m.id = $4) AND `+livesThrough("$3")+`
		ORDER BY o.slug LIMIT 1`, o.UserID, o.Org, o.Provider, o.member).
		Scan(&p.Email, &p.Name, &p.OrgID, &p.Org, &p.Member, &p.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, whyNoSession(ctx, tx, o.UserID, o.Org)
	}
	if err != nil {
		return Session{}, fmt.Errorf("open a session: %w", err)
	}
	if err := lockMember(ctx, tx, p.OrgID, o.UserID); err != nil {
		return Session{}, err
	}
	how, known := methods[o.Method]
	if !known {
		return Session{}, fmt.Errorf("open a session: no method %q", o.Method)
	}
	s := Session{}
	p.ExpiresAt = now.Add(how.life)
	cookie := id
	if how.cookie {
		s.Cookie = bridge.NewSecret(bridge.RandomToken(32))
		cookie = schema.Hash(s.Cookie)
	}
	s.Principal = p
	if _, err := tx.ExecContext(ctx, `INSERT INTO sessions
		(id, user_id, org_id, method, cookie, created_at, expires_at, ended_at, address, user_agent, member_id, provider_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)`,
		id, o.UserID, p.OrgID, o.Method, cookie, now.Unix(), p.ExpiresAt.Unix(), actor.Address, bridge.StoredText(actor.UserAgent, maxAgent), p.Member,
		o.Provider); err != nil {
		return Session{}, fmt.Errorf("open a session: %w", err)
	}
	if how.refresh {
		if s.Refresh, err = newRefresh(ctx, tx, id, now); err != nil {
			return Session{}, err
		}
	}
	actor.ID, actor.Org = "user:"+p.Email, p.Org
	return s, audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "session.open", Target: "session:" + id,
		Details: map[string]string{"method": o.Method}})
}

// OpenSessionFrom opens another session of the person of p, in the same organization. What comes of a session that a
// sign-in provider opened is bound to that provider likewise.
func (st *Sessions) OpenSessionFrom(ctx context.Context, caller Caller, method string) (Session, error) {
	var s Session
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		s, err = st.OpenIn(ctx, tx, Opening{UserID: caller.UserID, Org: caller.Org, Method: method, Provider: caller.Provider, member: caller.Member}, caller.Actor)
		return err
	})
	return s, err
}

// newRefresh stores and returns the next refresh token of a session.
func newRefresh(ctx context.Context, tx *sql.Tx, sessionID string, now time.Time) (bridge.Secret, error) {
	token := bridge.NewSecret(bridge.RandomToken(32))
	_, err := tx.ExecContext(ctx, `INSERT INTO refresh_tokens (hash, session_id, expires_at, used_at) VALUES ($1, $2, $3, 0)`,
		schema.Hash(token), sessionID, now.Add(RefreshLife).Unix())
	if err != nil {
		return bridge.Secret{}, fmt.Errorf("store a refresh token: %w", err)
	}
	return token, nil
}

var errSession = bridge.E(bridge.Unauthenticated, bridge.CodeSessionEnded, "the session has ended").WithHint("ace login")

// BrowserSession finds the live session of a cookie. The cookie of an unproven account is refused with [ErrUnproven]; see
// [Sessions.UnprovenSession].
func (st *Sessions) BrowserSession(ctx context.Context, cookie bridge.Secret) (Principal, error) {
	p, err := st.Session(ctx, st.db, "s.method IN ('browser', 'provider') AND s.cookie", schema.Hash(cookie))
	if err == nil || bridge.CodeOf(err) != errSession.Code {
		return p, err
	}
	if _, unproven := st.UnprovenSession(ctx, cookie); unproven == nil {
		return Principal{}, ErrUnproven
	}
	return p, err
}

// SessionByID finds a live session by its ID, with the member's current role.
func (st *Sessions) SessionByID(ctx context.Context, id string) (Principal, error) {
	return st.Session(ctx, st.db, "s.id", id)
}

// Session finds the principal of a live session by a column of its row. An ended session or membership is refused as ended.
func (st *Sessions) Session(ctx context.Context, q schema.Queryer, column, value string) (Principal, error) {
	var p Principal
	var expires int64
	err := q.QueryRowContext(ctx, `SELECT s.id, s.method, s.provider_id, s.moves, s.expires_at, u.id, u.email, u.name, o.id, o.slug, m.id, m.role
		FROM sessions s JOIN users u ON u.id = s.user_id JOIN organizations o ON o.id = s.org_id
		JOIN members m ON m.id = s.member_id AND m.org_id = s.org_id AND m.user_id = s.user_id
		WHERE `+column+` = $1 AND s.ended_at = 0 AND s.expires_at > $2 AND u.verified_at <> 0 AND `+livesThrough("s.provider_id"), value, st.db.Now().Unix()). //nolint:gosec // columns from above
		Scan(&p.SessionID, &p.Method, &p.Provider, &p.Moves, &expires, &p.UserID, &p.Email, &p.Name, &p.OrgID, &p.Org, &p.Member, &p.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return Principal{}, errSession
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up a session: %w", err)
	}
	p.ExpiresAt = *schema.At(expires)
	return p, nil
}

var errRefresh = bridge.E(bridge.Invalid, bridge.CodeInvalidGrant,
	"the refresh token is not valid any more").WithHint("ace login")

// RefreshSession exchanges a refresh token for the next one. A second use of a token means that someone has stolen it, so it ends
// the session (RFC 9700 section 4.14.2).
func (st *Sessions) RefreshSession(ctx context.Context, refresh bridge.Secret, actor audit.Actor) (Session, error) {
	now := st.db.Now()
	var s Session
	reused := false
	err := st.db.Change(ctx, func(tx *sql.Tx) error {
		reused = false
		var sessionID string
		err := tx.QueryRowContext(ctx, "SELECT session_id FROM refresh_tokens WHERE hash = $1 AND expires_at > $2",
			schema.Hash(refresh), now.Unix()).Scan(&sessionID)
		if errors.Is(err, sql.ErrNoRows) {
			return errRefresh
		}
		if err != nil {
			return fmt.Errorf("refresh: %w", err)
		}
		fresh, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE refresh_tokens SET used_at = $1 WHERE hash = $2 AND used_at = 0",
			now.Unix(), schema.Hash(refresh)))
		if err != nil {
			return fmt.Errorf("refresh: %w", err)
		}
		if !fresh {
			reused = true
			actor.ID = "session:" + sessionID
			return endSession(ctx, tx, sessionID, "refresh token reused", now, actor)
		}
		alive, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE sessions SET expires_at = $1 WHERE id = $2 AND ended_at = 0",
			now.Add(RefreshLife).Unix(), sessionID))
		if err != nil {
			return fmt.Errorf("refresh: %w", err)
		}
		if !alive {
			return errRefresh
		}
		s.Principal.SessionID = sessionID
		if s.Refresh, err = newRefresh(ctx, tx, sessionID, now); err != nil {
			return err
		}
		// In the same transaction, so that the token is not spent if its session is not found.
		if s.Principal, err = st.Session(ctx, tx, "s.id", sessionID); errors.Is(err, errSession) {
			return errRefresh.Because(err)
		}
		return err
	})
	if err != nil {
		return Session{}, err
	}
	if reused {
		return Session{}, errRefresh
	}
	return s, nil
}

// endSession ends a live session and audits it, by default in the log of its organization.
func endSession(ctx context.Context, tx *sql.Tx, id, reason string, now time.Time, actor audit.Actor) error {
	ended, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at = 0",
		now.Unix(), id))
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	if !ended {
		return nil
	}
	if actor.Org == "" {
		if err := tx.QueryRowContext(ctx, `SELECT o.slug FROM sessions s JOIN organizations o ON o.id = s.org_id
			WHERE s.id = $1`, id).Scan(&actor.Org); err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
	}
	return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "session.end", Target: "session:" + id,
		Details: map[string]string{"reason": reason}})
}

// EndSession signs a person out of this session.
func (st *Sessions) EndSession(ctx context.Context, caller Caller) error {
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		return endSession(ctx, tx, caller.SessionID, "signed out", st.db.Now(), caller.Actor)
	})
}

// RevokeRefresh ends the session of a refresh token (RFC 7009). An unknown token is no error there.
func (st *Sessions) RevokeRefresh(ctx context.Context, refresh bridge.Secret, actor audit.Actor) error {
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, "SELECT session_id FROM refresh_tokens WHERE hash = $1", schema.Hash(refresh)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		return endSession(ctx, tx, id, "signed out", st.db.Now(), actor)
	})
}
