package accounts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/keys/record"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/outbox"
	"github.com/acebridge/ace/cloud/schema"
)

const (
	// InvitationLife is how long an invitation is good for by default.
	InvitationLife    = "7d"
	maxInvitationLife = 30 * 24 * time.Hour
	maxInvitations    = 200 // open ones of an organization
)

// Invite makes an invitation and returns its link, which is shown only this once. An invitation for an e-mail address is mailed
// there as well, with a token of its own: that link proves the address, and the inviter never sees it. It replaces an open
// invitation for the same address.
//
// Nobody invites to a role above their own ([bridge.CodeRoleAbove]). An organization has at most 200 open invitations
// ([bridge.CodeTooManyInvitations]).
func (st *Store) Invite(ctx context.Context, caller Caller, org string, n api.NewInvitation) (api.Invitation, error) {
	var none api.Invitation
	if err := caller.RequireOrg(org); err != nil {
		return none, err
	}
	role, err := CheckRole(cmp.Or(n.Role, string(bridge.RoleMember)))
	if err != nil {
		return none, err
	}
	if n.Email != "" {
		if n.Email, err = bridge.CanonicalEmail(n.Email); err != nil {
			return none, err
		}
	}
	now := st.db.Now()
	expires, err := invitationExpiry(n.ExpiresIn, now)
	if err != nil {
		return none, err
	}
	id, err := schema.NewID()
	if err != nil {
		return none, err
	}
	token, mailed := bridge.NewSecret(bridge.RandomToken(32)), bridge.NewSecret(bridge.RandomToken(32))
	out := api.Invitation{ID: id, Email: n.Email, Role: string(role), InvitedBy: caller.label(), CreatedAt: now.UTC().Truncate(time.Second),
		ExpiresAt: expires.UTC().Truncate(time.Second), URL: new(st.invitationURL(token).Disclose())}
	err = st.outbox.Change(ctx, func(tx *sql.Tx) error {
		p, err := Standing(ctx, tx, caller.Principal)
		if err != nil {
			return err
		}
		if err := p.RequireScope("member:invite"); err != nil {
			return err
		}
		if err := p.requireRank(role); err != nil {
			return err
		}
		if err := requireInvitable(ctx, tx, p.OrgID, n.Email, now); err != nil {
			return err
		}
		mark := id
		if n.Email != "" && st.outbox.SendsMail() {
			mark = schema.Hash(mailed)
			if err := st.mailInvitation(ctx, tx, p.As(caller.Actor), out, st.invitationURL(mailed)); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO invitations
			(id, org_id, token, mailed, email, role, inviter_id, inviter, state, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10)`, id, p.OrgID, schema.Hash(token), mark, n.Email, string(role),
			p.UserID, out.InvitedBy, now.Unix(), expires.Unix()); err != nil {
			return fmt.Errorf("invite: %w", err)
		}
		return audit.Write(ctx, tx, now, audit.Entry{Actor: caller.Actor, Action: "invitation.create", Target: "invitation:" + id,
			Details: map[string]string{"email": n.Email, "role": string(role), "expires_at": out.ExpiresAt.Format(time.RFC3339)}})
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// label is how others see the principal: their e-mail address, or the name of a key.
func (p Principal) label() string {
	if p.Kind != "" && p.Kind != bridge.KindPAT {
		return "API key " + p.Name
	}
	return p.Email
}

func (st *Store) invitationURL(token bridge.Secret) bridge.Secret {
	return bridge.NewSecret(st.issuer.Join("/invite") + "?token=" + token.Reveal())
}

// invitationExpiry reads a lifetime such as 7d, of at most 30 days; empty: [InvitationLife].
func invitationExpiry(in string, now time.Time) (time.Time, error) {
	expires, err := record.ParseExpiry(cmp.Or(in, InvitationLife), now)
	if err != nil || expires.IsZero() || expires.Sub(now) > maxInvitationLife {
		return time.Time{}, bridge.E(bridge.Invalid, bridge.CodeExpiryMalformed, "an invitation is good for at most 30 days").
			WithHint("say how long: 7d, 12h")
	}
	return expires, nil
}

// requireInvitable refuses an address that is a member's, and an organization with too many open invitations. It withdraws an
// earlier invitation for the same address.
func requireInvitable(ctx context.Context, tx *sql.Tx, orgID, email string, now time.Time) error {
	if email != "" {
		var there int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM members m JOIN users u ON u.id = m.user_id
			WHERE m.org_id = $1 AND u.email = $2`, orgID, email).Scan(&there)
		if err != nil {
			return fmt.Errorf("invite: %w", err)
		}
		if there > 0 {
			return bridge.E(bridge.Conflict, bridge.CodeAlreadyMember, "%s is a member already", email).WithHint("ace org members")
		}
		if _, err := tx.ExecContext(ctx, "UPDATE invitations SET state = 'withdrawn' WHERE org_id = $1 AND email = $2 AND state = 'open'",
			orgID, email); err != nil {
			return fmt.Errorf("invite: %w", err)
		}
	}
	var open int
	err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM invitations WHERE org_id = $1 AND state = 'open' AND expires_at > $2",
		orgID, now.Unix()).Scan(&open)
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	if open >= maxInvitations {
		return bridge.E(bridge.Conflict, bridge.CodeTooManyInvitations, "%d invitations are open, which is as many as there may be",
			open).
			WithHint("withdraw some: ace org invitations")
	}
	return nil
}

// mailInvitation queues the mail with a link that proves the address.
func (st *Store) mailInvitation(ctx context.Context, tx *sql.Tx, caller Caller, i api.Invitation, link bridge.Secret) error {
	by := caller.Email
	if i.InvitedBy != by { // the name of a key may be anything, such as an address to visit
		by = "A program of " + caller.Org
	}
	text := strings.Join([]string{
		fmt.Sprintf("%s invites you to the organization %s on %s, as %s %s.", by, caller.Org, st.issuer, article(bridge.Role(i.Role)), i.Role),
		"Open this link to join. It works once, until " + i.ExpiresAt.Format("2 January 2006, 15:04 MST") + ":\n" + link.Reveal(),
		"If you did not expect this, you can ignore it.",
	}, "\n\n") + "\n"
	return st.outbox.Queue(ctx, tx, outbox.Message{Kind: outbox.KindText, To: i.Email, Subject: "Invitation to " + caller.Org, Text: bridge.NewSecret(text),
		Life: i.ExpiresAt.Sub(i.CreatedAt), Actor: caller.Actor})
}

// Invitations lists the open invitations of the principal's organization, oldest first.
func (st *Store) Invitations(ctx context.Context, p Principal, org, cursor string, limit int) ([]api.Invitation, string, error) {
	if err := p.RequireOrg(org); err != nil {
		return nil, "", err
	}
	if err := p.RequireScope("member:invite"); err != nil {
		return nil, "", err
	}
	limit = schema.PageSize(limit)
	rows, err := st.db.QueryContext(ctx, `SELECT id, email, role, inviter, created_at, expires_at FROM invitations
		WHERE org_id = $1 AND state = 'open' AND expires_at > $2 AND id > $3 ORDER BY id LIMIT $4`,
		p.OrgID, st.db.Now().Unix(), cursor, limit+1)
	out, next, err := schema.Page(rows, err, limit, func(s sqldb.Row) (api.Invitation, error) {
		var i api.Invitation
		var created, expires int64
		if err := s.Scan(&i.ID, &i.Email, &i.Role, &i.InvitedBy, &created, &expires); err != nil {
			return i, err
		}
		i.CreatedAt, i.ExpiresAt = *schema.At(created), *schema.At(expires)
		return i, nil
	}, func(i api.Invitation) string { return i.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list invitations: %w", err)
	}
	return out, next, nil
}

// Withdraw makes an open invitation void. Acceptances that wait for a proof are void with it.
func (st *Store) Withdraw(ctx context.Context, caller Caller, org, id string) error {
	if err := caller.RequireOrg(org); err != nil {
		return err
	}
	return st.db.Change(ctx, func(tx *sql.Tx) error {
		p, err := Standing(ctx, tx, caller.Principal)
		if err == nil {
			err = p.RequireScope("member:invite")
		}
		if err != nil {
			return err
		}
		withdrawn, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE invitations SET state = 'withdrawn'
			WHERE id = $1 AND org_id = $2 AND state = 'open'`, id, p.OrgID))
		if err != nil {
			return fmt.Errorf("withdraw an invitation: %w", err)
		}
		if !withdrawn {
			return bridge.E(bridge.NotFound, bridge.CodeInvitationUnknown,
				"there is no such open invitation").WithHint("ace org invitations")
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "invitation.withdraw", Target: "invitation:" + id})
	})
}

// withdrawBeyond withdraws the open invitations of a member whose new role does not cover them.
func withdrawBeyond(ctx context.Context, tx *sql.Tx, orgID, inviterID string, role bridge.Role) error {
	mayInvite := Scopes.Ceiling(role).Covers("member:invite")
	for _, invited := range []bridge.Role{bridge.RoleOwner, bridge.RoleAdmin, bridge.RoleMember, bridge.RoleViewer} {
		if mayInvite && role.AtLeast(invited) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE invitations SET state = 'withdrawn'
			WHERE org_id = $1 AND inviter_id = $2 AND role = $3 AND state = 'open'`, orgID, inviterID, string(invited)); err != nil {
			return fmt.Errorf("withdraw invitations: %w", err)
		}
	}
	return nil
}

// OfferedInvitation is an open invitation as the holder of its link sees it.
type OfferedInvitation struct {
	Org, OrgName string
	Role         string
	Email        string // the only address that may accept; empty: any
	InvitedBy    string
	ExpiresAt    time.Time

	ID, OrgID string
	Mailed    bool // the link is the one that was mailed, which proves the address
}

// Proves reports whether the link proves the address, because it was mailed there.
func (o OfferedInvitation) Proves() bool { return o.Mailed }

// ErrInvitation refuses an invitation that is unknown, used, withdrawn or over.
var ErrInvitation = bridge.E(bridge.NotFound, bridge.CodeInvitationUnknown, "this invitation is not known: it has been used or withdrawn, or it has expired").
	WithHint("ask for a new one")

// LookupInvitation finds the open invitation of a link.
func (st *Store) LookupInvitation(ctx context.Context, token bridge.Secret) (OfferedInvitation, error) {
	return st.Offered(ctx, st.db, token)
}

// Offered finds the open invitation of a link within a transaction.
func (st *Store) Offered(ctx context.Context, q schema.Queryer, token bridge.Secret) (OfferedInvitation, error) {
	var o OfferedInvitation
	var expires int64
	err := q.QueryRowContext(ctx, `SELECT i.id, i.org_id, o.slug, o.name, i.role, i.email, i.inviter, i.expires_at, i.mailed = $1
		FROM invitations i JOIN organizations o ON o.id = i.org_id
		WHERE (i.token = $1 OR i.mailed = $1) AND i.state = 'open' AND i.expires_at > $2`, schema.Hash(token), st.db.Now().Unix()).
		Scan(&o.ID, &o.OrgID, &o.Org, &o.OrgName, &o.Role, &o.Email, &o.InvitedBy, &expires, &o.Mailed)
	if errors.Is(err, sql.ErrNoRows) {
		return o, ErrInvitation
	}
	if err != nil {
		return o, fmt.Errorf("look up an invitation: %w", err)
	}
	o.ExpiresAt = *schema.At(expires)
	return o, nil
}
