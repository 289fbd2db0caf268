package signup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

// FirstLife is how long the link for a cloud's first person works.
const FirstLife = 24 * time.Hour

// FirstPath is the path of the page that the link opens.
const FirstPath = "/first"

// hasPeople is the SQL condition that somebody has an account. API keys and organizations have rows in users too.
const hasPeople = "EXISTS (SELECT 1 FROM users WHERE " + accounts.People + ")"

// Fresh reports whether nobody has an account yet.
func (st *Store) Fresh(ctx context.Context) (bool, error) {
	var people bool
	err := st.db.QueryRowContext(ctx, "SELECT "+hasPeople).Scan(&people)
	return !people, sqldb.Wrap("look for people", err)
}

// OfferFirst makes the link for the first account of a fresh cloud, and mails it if the cloud sends mail. The operator who names
// the address vouches for it. ok is false if somebody has an account already.
func (st *Store) OfferFirst(ctx context.Context, email string) (link bridge.Secret, ok bool, err error) {
	email, err = bridge.CanonicalEmail(email)
	if err != nil {
		return link, false, err
	}
	token, now := bridge.NewSecret(bridge.RandomToken(32)), st.db.Now()
	link = bridge.NewSecret(st.outbox.Link(FirstPath, token))
	err = st.outbox.Change(ctx, func(tx *sql.Tx) error {
		made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO first_links (hash, email, created_at, expires_at, used_at)
			SELECT $1, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT), 0 WHERE NOT `+hasPeople, schema.Hash(token), email, now.Unix(), now.Add(FirstLife).Unix()))
		if ok = made; err != nil || !made {
			return sqldb.Wrap("offer the first account", err)
		}
		if !st.outbox.SendsMail() {
			return nil
		}
		return st.outbox.Queue(ctx, tx, outbox.Message{Kind: outbox.KindText, To: email, Subject: "Your account at " + st.issuer.URL().Host, Life: FirstLife,
			Text: st.outbox.Sign("The operator of this cloud has chosen your address for its first account.",
				"To make your account and your organization, open this link. It works once, for 24 hours.", link.Reveal())})
	})
	return link, ok && err == nil, err
}

// FirstPerson returns the address that a link makes the first account for. The link is not used up.
func (st *Store) FirstPerson(ctx context.Context, token bridge.Secret) (email string, err error) {
	err = st.db.QueryRowContext(ctx, "SELECT email FROM first_links WHERE hash = $1 AND used_at = 0 AND expires_at > $2 AND NOT "+hasPeople,
		schema.Hash(token), st.db.Now().Unix()).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errFirst
	}
	return email, sqldb.Wrap("look up a link", err)
}

var errFirst = bridge.E(bridge.NotFound, accounts.ErrLink.Code, "this link has expired, or somebody has an account here already").
	WithHint("sign in, or start the cloud again for another link")

// First is what the first person of a cloud enters about themselves.
type First struct {
	Name, Org string
	Password  bridge.Secret
}

// MakeFirst makes the first account of a cloud, as the owner of a new organization, and opens its session. Only one link can ever be
// used; all others are refused with [bridge.CodeLinkInvalid] from then on.
func (st *Store) MakeFirst(ctx context.Context, token bridge.Secret, f First, actor audit.Actor) (accounts.Session, error) {
	var plain bool
	if f.Name, plain = bridge.PlainName(f.Name, schema.MaxName); !plain || f.Name == "" {
		return accounts.Session{}, accounts.ErrName
	}
	if err := bridge.CheckOrg(f.Org); err != nil {
		return accounts.Session{}, err
	}
	if _, err := st.FirstPerson(ctx, token); err != nil {
		return accounts.Session{}, err // before the work of hashing
	}
	hash, err := st.hasher.Hash(ctx, f.Password)
	if err != nil {
		return accounts.Session{}, err
	}
	id, err := schema.NewID()
	if err != nil {
		return accounts.Session{}, err
	}
	var s accounts.Session
	err = st.db.Change(ctx, func(tx *sql.Tx) error {
		email, err := st.useFirst(ctx, tx, token)
		if err != nil {
			return err
		}
		now := st.db.Now()
		if _, err := tx.ExecContext(ctx, `INSERT INTO users (id, email, name, password, created_at, verified_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			id, email, f.Name, hash, now.Unix()); err != nil {
			return fmt.Errorf("make the first account: %w", err)
		}
		orgID, err := accounts.EnsureOrg(ctx, tx, f.Org, now)
		if err != nil {
			return fmt.Errorf("make the first organization: %w", err)
		}
		if _, err := accounts.AddMember(ctx, tx, accounts.NewMember{OrgID: orgID, UserID: id, Role: bridge.RoleOwner, Source: accounts.SourceFounder}, now); err != nil {
			return err
		}
		by := actor
		by.ID, by.Org = "user:"+email, f.Org
		if err := audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "user.add", Target: "user:" + email,
			Details: map[string]string{"role": string(bridge.RoleOwner), "reason": "the first person, named by the operator"}}); err != nil {
			return err
		}
		s, err = st.sessions.OpenIn(ctx, tx, accounts.Opening{UserID: id, Org: f.Org, Method: accounts.MethodBrowser}, actor)
		return err
	})
	if err != nil {
		return accounts.Session{}, err
	}
	return s, nil
}

// useFirst uses up all links at once, so that two of them cannot make two accounts.
func (st *Store) useFirst(ctx context.Context, tx *sql.Tx, token bridge.Secret) (email string, err error) {
	now := st.db.Now().Unix()
	used, err := tx.ExecContext(ctx, "UPDATE first_links SET used_at = $1 WHERE used_at = 0 AND expires_at > $1", now)
	if err != nil {
		return "", fmt.Errorf("use a link: %w", err)
	}
	if n, err := used.RowsAffected(); err != nil || n == 0 {
		return "", errFirst
	}
	err = tx.QueryRowContext(ctx, "SELECT email FROM first_links WHERE hash = $1 AND used_at = $2 AND NOT "+hasPeople, schema.Hash(token), now).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errFirst
	}
	return email, sqldb.Wrap("use a link", err)
}
