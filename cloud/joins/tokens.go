package joins

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// manage is what the maker of a join token must be able to do.
const manage bridge.Scope = "connection:manage"

// token is a row of the table.
type token struct {
	id, orgID, name, tags string
	uses, used            int
	share                 bool
	maker                 maker
	created, expires      int64
	ended, usedAt         int64
}

// maker is who made a token.
type maker struct {
	actor string
	id    string // of the person or the organization's API key; empty: the operator
	key   string // ID of the API key that it was made with; empty: none
}

const tokenColumns = `t.id, t.org_id, t.name, t.uses, t.used, t.tags, t.share, t.created_by, t.maker_id, t.maker_key, t.created_at,
	t.expires_at, t.ended_at, t.used_at`

func scanToken(s sqldb.Row) (token, error) {
	var t token
	err := s.Scan(&t.id, &t.orgID, &t.name, &t.uses, &t.used, &t.tags, &t.share, &t.maker.actor, &t.maker.id, &t.maker.key, &t.created,
		&t.expires, &t.ended, &t.usedAt)
	return t, err
}

// state is that of a token at a time.
func (t token) state(now time.Time) string {
	switch {
	case t.ended != 0:
		return api.JoinRevoked
	case t.expires <= now.Unix():
		return api.JoinExpired
	case t.used >= t.uses:
		return api.JoinUsedUp
	}
	return api.JoinActive
}

func (t token) tagList() []string {
	if t.tags == "" {
		return nil
	}
	return strings.Split(t.tags, "\n")
}

func (t token) api(now time.Time) api.JoinToken {
	return api.JoinToken{ID: t.id, Name: t.name, State: t.state(now), Uses: t.uses, Used: t.used, Tags: t.tagList(), Share: t.share,
		CreatedBy: t.maker.actor, CreatedAt: time.Unix(t.created, 0).UTC(), ExpiresAt: time.Unix(t.expires, 0).UTC(), UsedAt: schema.At(t.usedAt)}
}

func malformed(format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Invalid, bridge.CodeJoinMalformed, format, args...)
}

// newToken checks what is asked of a token.
func newToken(req api.JoinTokenRequest, now time.Time) (token, error) {
	life := time.Duration(req.ExpiresIn) * time.Second
	switch {
	case req.Uses < 0 || req.Uses > api.MaxJoinUses:
		return token{}, malformed("a join token is for 1 to %d servers", api.MaxJoinUses)
	case req.ExpiresIn < 0 || req.ExpiresIn > int64(api.MaxJoinLife/time.Second):
		return token{}, malformed("a join token lives for at most %d days", int(api.MaxJoinLife.Hours()/24))
	case len(req.Tags) > api.MaxTags:
		return token{}, malformed("there are at most %d tags", api.MaxTags)
	}
	t := token{uses: cmp.Or(req.Uses, 1), share: req.Share, created: now.Unix(), expires: now.Add(cmp.Or(life, api.JoinLife)).Unix()}
	if req.Name != "" {
		var plain bool
		if t.name, plain = bridge.PlainName(req.Name, schema.MaxName); !plain {
			return token{}, accounts.ErrName
		}
	}
	var tags []string
	for _, tag := range req.Tags {
		tag, plain := bridge.PlainName(tag, api.MaxTag)
		if !plain {
			return token{}, malformed("a tag is 1 to %d bytes of plain text", api.MaxTag)
		}
		tags = append(tags, tag)
	}
	t.tags = strings.Join(tags, "\n")
	return t, nil
}

// CreateToken makes a join token for the caller's organization. An API key makes one, too, if it manages connections.
func (st *Store) CreateToken(ctx context.Context, caller accounts.Caller, req api.JoinTokenRequest) (api.CreatedJoinToken, error) {
	if err := caller.RequireScope(manage); err != nil {
		return api.CreatedJoinToken{}, err
	}
	if caller.Environment == bridge.EnvironmentTest {
		return api.CreatedJoinToken{}, bridge.E(bridge.Forbidden, bridge.CodeKeyEnvironment, "a test key makes no join tokens: servers join as live ones")
	}
	by := maker{actor: caller.Actor.ID, id: caller.UserID}
	if caller.Kind != "" {
		by.key = caller.Key.KeyID.String()
	}
	return st.create(ctx, caller.Actor, caller.Org, by, req, func(tx *sql.Tx) error {
		standing, err := accounts.Standing(ctx, tx, caller.Principal)
		if err != nil {
			return err
		}
		if err := standing.RequireScope(manage); err != nil || !req.Share {
			return err
		}
		return standing.RequireShare()
	})
}

// CreateTokenAsOperator makes a join token for an organization, as whoever runs the cloud.
func (st *Store) CreateTokenAsOperator(ctx context.Context, org string, actor audit.Actor, req api.JoinTokenRequest) (api.CreatedJoinToken, error) {
	return st.create(ctx, actor, org, maker{actor: actor.ID}, req, func(*sql.Tx) error { return nil })
}

func (st *Store) create(ctx context.Context, actor audit.Actor, org string, by maker, req api.JoinTokenRequest, require func(*sql.Tx) error) (api.CreatedJoinToken, error) {
	var none api.CreatedJoinToken
	now := st.db.Now()
	t, err := newToken(req, now)
	if err != nil {
		return none, err
	}
	public, _ := st.root.TrustValues(st.issuer, org)
	secret, err := bridge.NewJoinToken(public)
	if err != nil {
		return none, err
	}
	if t.id, err = schema.NewID(); err != nil {
		return none, err
	}
	t.maker = by
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := require(tx); err != nil {
			return err
		}
		made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO join_tokens (id, org_id, hash, name, uses, used, tags, share, created_by, maker_id,
			maker_key, created_at, expires_at, ended_at, used_at)
			SELECT $1, o.id, $2, $3, CAST($4 AS BIGINT), 0, $5, CAST($6 AS BOOLEAN), $7, $8, $9, CAST($10 AS BIGINT), CAST($11 AS BIGINT), 0, 0
			FROM organizations o WHERE o.slug = $12`,
			t.id, secret.Hash(), t.name, t.uses, t.tags, t.share, by.actor, by.id, by.key, t.created, t.expires, org))
		if err != nil {
			return fmt.Errorf("make a join token: %w", err)
		}
		if !made {
			return bridge.E(bridge.NotFound, bridge.CodeOrganizationUnknown, "there is no such organization")
		}
		actor.Org = org
		return audit.Write(ctx, tx, now, audit.Entry{Actor: actor, Action: "join_token.create", Target: "join_token:" + t.id, Details: map[string]string{
			"name": t.name, "uses": fmt.Sprint(t.uses), "expires_at": time.Unix(t.expires, 0).UTC().Format(time.RFC3339), "share": fmt.Sprint(t.share)}})
	})
	if err != nil {
		return none, err
	}
	return api.CreatedJoinToken{JoinToken: t.api(now), Token: secret.Text().Disclose()}, nil
}

// Tokens lists the organization's join tokens, newest first, also those that ended lately.
func (st *Store) Tokens(ctx context.Context, p accounts.Principal, cursor string, limit int) ([]api.JoinToken, string, error) {
	if err := p.RequireScope(manage); err != nil {
		return nil, "", err
	}
	limit = schema.PageSize(limit)
	rows, err := st.db.QueryContext(ctx, "SELECT "+tokenColumns+` FROM join_tokens t
		WHERE t.org_id = $1 AND ($2 = '' OR t.id < $2) ORDER BY t.id DESC LIMIT $3`, p.OrgID, cursor, limit+1)
	out, next, err := schema.Page(rows, err, limit, func(s sqldb.Row) (api.JoinToken, error) {
		t, err := scanToken(s)
		return t.api(st.db.Now()), err
	}, func(t api.JoinToken) string { return t.ID })
	return out, next, sqldb.Wrap("list join tokens", err)
}

// RevokeToken ends a join token. Servers that have joined with it stay. A token that is over stays as it is.
func (st *Store) RevokeToken(ctx context.Context, caller accounts.Caller, id string) error {
	if err := caller.RequireScope(manage); err != nil {
		return err
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		now := st.db.Now()
		standing, err := accounts.Standing(ctx, tx, caller.Principal)
		if err == nil {
			err = standing.RequireScope(manage)
		}
		if err != nil {
			return err
		}
		t, err := scanToken(tx.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM join_tokens t WHERE t.id = $1 AND t.org_id = $2", id, caller.OrgID))
		if errors.Is(err, sql.ErrNoRows) {
			return bridge.E(bridge.NotFound, bridge.CodeJoinTokenUnknown, "there is no such join token").WithHint("ace org join-token list")
		}
		if err != nil {
			return fmt.Errorf("look up a join token: %w", err)
		}
		ended, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE join_tokens SET ended_at = $1 WHERE id = $2 AND ended_at = 0 AND expires_at > $1", now.Unix(), id))
		if err != nil || !ended {
			return sqldb.Wrap("revoke a join token", err)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "join_token.revoke", Target: "join_token:" + id,
			Details: map[string]string{"name": t.name}})
	})
}

// Voiders are the kinds of credential kept here; see [accounts.Voider].
func (st *Store) Voiders() []accounts.Voider {
	return []accounts.Voider{{Kind: "join tokens", Tables: []string{"join_tokens", "join_uses"}, Void: st.void, Living: livingTokens}}
}

// livingTokens selects the join tokens that the end of a membership makes void; see [accounts.Voider].
const livingTokens = `SELECT id, '` + api.EndsJoinToken + `', id, name FROM join_tokens
	WHERE org_id = $1 AND maker_id = $2 AND ended_at = 0 AND expires_at > $3`

func (st *Store) void(ctx context.Context, tx *sql.Tx, h accounts.Handover) error {
	_, err := tx.ExecContext(ctx, `UPDATE join_tokens SET ended_at = $1 WHERE maker_id = $2 AND ($3 = '' OR org_id = $3) AND ended_at = 0`,
		st.db.Now().Unix(), h.User.ID, h.OrgID)
	return err
}

// requireMaker refuses a token whose maker may no longer make one like it.
func (t token) requireMaker(ctx context.Context, tx *sql.Tx, org accounts.Principal, now time.Time) error {
	if t.maker.id == "" {
		return nil
	}
	may := accounts.Principal{Kind: bridge.KindLive, Granted: bridge.Scopes{"*"}} // as far as the key goes
	if t.maker.key != "" {
		id, err := uuid.Parse(t.maker.key)
		if err != nil {
			return fmt.Errorf("read the maker of a join token: %w", err)
		}
		key, err := record.Load(ctx, tx, id)
		switch {
		case errors.Is(err, record.ErrUnknown) || err == nil && (key.Org != org.Org || key.Status(now) != record.StatusActive):
			return errEnded("its maker's key has ended")
		case err != nil:
			return err
		}
		may.Granted = key.Scopes
	}
	if t.maker.id != t.maker.key {
		may.Kind = bridge.KindPAT
		err := tx.QueryRowContext(ctx, `SELECT m.role FROM members m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2
			AND u.verified_at <> 0`, t.orgID, t.maker.id).Scan(&may.Role)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("look up the maker of a join token: %w", err)
		}
	}
	if !may.Can(manage) || t.share && !may.Can("connection:share") {
		return errEnded("its maker may no longer manage connections")
	}
	return nil
}

func errEnded(why string) error {
	return bridge.E(bridge.Unauthenticated, bridge.CodeJoinTokenEnded, "the join token is of no use any more: %s", why).
		WithHint("ask an admin for a new one: ace org join-token create")
}
