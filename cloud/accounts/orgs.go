package accounts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// maxFounded is the number of organizations that one person may make.
const maxFounded = 10

// The sources of memberships: how a member came in.
const (
	SourceFounder    = "founder"
	SourceInvitation = "invitation"
)

// RequireOrg refuses a request for another organization than the principal's own, as if there were none.
func (p Principal) RequireOrg(org string) error {
	if org == p.Org {
		return nil
	}
	return bridge.E(bridge.NotFound, bridge.CodeOrganizationUnknown, "you are not signed in to that organization").
		WithHint("ace org switch %s", printableOrg(org))
}

// RequireAlone refuses a key, and a session that a sign-in provider opened. Neither may join or make other organizations.
func (p Principal) RequireAlone() error {
	if err := p.RequirePerson(); err != nil {
		return err
	}
	return p.RequireOwnSession()
}

// printableOrg returns a slug from outside for use in a hint, or ORG if it is not one.
func printableOrg(org string) string {
	if bridge.CheckOrg(org) != nil {
		return "ORG"
	}
	return org
}

// ErrName refuses a name that is empty, too long or no plain text.
var ErrName = bridge.E(bridge.Invalid, bridge.CodeNameMalformed, "a name is 1 to %d bytes of plain text", schema.MaxName)

// CreateOrganization makes an organization that the caller owns. Its slug never changes, since servers trust it. A slug that is taken
// is refused with a free one as the hint ([bridge.CodeOrganizationTaken]).
func (st *Store) CreateOrganization(ctx context.Context, caller Caller, n api.NewOrganization) (api.Organization, error) {
	var none api.Organization
	if err := caller.RequireAlone(); err != nil {
		return none, err
	}
	if err := bridge.CheckOrg(n.Slug); err != nil {
		return none, err
	}
	var plain bool
	if n.Name, plain = bridge.PlainName(cmp.Or(n.Name, n.Slug), schema.MaxName); !plain {
		return none, ErrName
	}
	now := st.db.Now()
	out := api.Organization{Slug: n.Slug, Name: n.Name, Role: string(bridge.RoleOwner)}
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		if out.ID, err = schema.NewID(); err != nil {
			return err
		}
		if err := requireMayFound(ctx, tx, caller.UserID); err != nil {
			return err
		}
		made, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO organizations (id, slug, name, created_at, created_by)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (slug) DO NOTHING`, out.ID, n.Slug, n.Name, now.Unix(), caller.UserID))
		if err != nil {
			return fmt.Errorf("make an organization: %w", err)
		}
		if !made {
			return slugTaken(ctx, tx, n.Slug)
		}
		if _, err := AddMember(ctx, tx, NewMember{out.ID, caller.UserID, bridge.RoleOwner, SourceFounder}, now); err != nil {
			return err
		}
		by := caller.Actor
		by.Org = n.Slug
		return audit.Write(ctx, tx, now, audit.Entry{Actor: by, Action: "organization.create", Target: "organization:" + n.Slug,
			Details: map[string]string{"name": n.Name}})
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// requireMayFound refuses a person who has made [maxFounded] organizations. It locks the row of the person, so that two requests at
// once cannot both pass.
func requireMayFound(ctx context.Context, tx *sql.Tx, userID string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE users SET name = name WHERE id = $1", userID); err != nil {
		return fmt.Errorf("make an organization: %w", err)
	}
	var founded int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM organizations WHERE created_by = $1", userID).Scan(&founded); err != nil {
		return fmt.Errorf("make an organization: %w", err)
	}
	if founded >= maxFounded {
		return bridge.E(bridge.Conflict, bridge.CodeTooManyOrganizations,
			"you have made %d organizations, which is as many as one person may", founded).
			WithHint("ask somebody else to make it and to invite you")
	}
	return nil
}

// slugTaken is the refusal of a slug that is taken. It suggests a free one.
func slugTaken(ctx context.Context, tx *sql.Tx, slug string) error {
	taken := bridge.E(bridge.Conflict, bridge.CodeOrganizationTaken, "there is an organization %q already", slug)
	for i := 2; i < 30; i++ {
		free := slug[:min(len(slug), 60)] + "-" + strconv.Itoa(i)
		var id string
		err := tx.QueryRowContext(ctx, "SELECT id FROM organizations WHERE slug = $1", free).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return taken.WithHint("the name %s is free", free)
		}
		if err != nil {
			return fmt.Errorf("look for a free slug: %w", err)
		}
	}
	return taken.WithHint("choose another one")
}

// NewMember is a membership to be made.
type NewMember struct {
	OrgID, UserID string
	Role          bridge.Role
	Source        string
}

// AddMember makes a person a member, unless they are one already or their address is not proven.
func AddMember(ctx context.Context, tx *sql.Tx, m NewMember, now time.Time) (added bool, err error) {
	id, err := schema.NewID()
	if err != nil {
		return false, err
	}
	added, err = sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO members (id, org_id, user_id, role, joined_at, source)
		SELECT $1, $2, u.id, $3, $4, $5 FROM users u WHERE u.id = $6 AND u.verified_at <> 0
		ON CONFLICT (org_id, user_id) DO NOTHING`, id, m.OrgID, string(m.Role), now.Unix(), m.Source, m.UserID))
	if err != nil {
		return false, fmt.Errorf("add a member: %w", err)
	}
	return added, nil
}

// RenameOrganization changes the display name of the organization; its slug stays.
func (st *Store) RenameOrganization(ctx context.Context, caller Caller, org string, patch api.OrganizationPatch) (api.Organization, error) {
	var none api.Organization
	if err := caller.RequireUpdate(org); err != nil {
		return none, err
	}
	var plain bool
	if patch.Name, plain = bridge.PlainName(patch.Name, schema.MaxName); !plain {
		return none, ErrName
	}
	err := st.db.Tx(ctx, func(tx *sql.Tx) error {
		renamed, err := sqldb.Changed(tx.ExecContext(ctx, "UPDATE organizations SET name = $1 WHERE id = $2 AND name <> $1", patch.Name, caller.OrgID))
		if err != nil {
			return fmt.Errorf("rename an organization: %w", err)
		}
		if !renamed {
			return nil
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: caller.Actor, Action: "organization.rename", Target: "organization:" + caller.Org,
			Details: map[string]string{"name": patch.Name}})
	})
	if err != nil {
		return none, err
	}
	return api.Organization{ID: caller.OrgID, Slug: caller.Org, Name: patch.Name, Role: string(caller.Role)}, nil
}

// LockOrg makes transactions that change the members of an organization wait for each other, on both databases. Under READ
// COMMITTED, two owners who demote each other would otherwise each still see the other as an owner.
func LockOrg(ctx context.Context, tx *sql.Tx, orgID string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE organizations SET name = name WHERE id = $1", orgID); err != nil {
		return fmt.Errorf("lock an organization: %w", err)
	}
	return nil
}

// Standing locks the principal's organization and returns the principal with their current role, which may have changed since the
// request began.
func Standing(ctx context.Context, tx *sql.Tx, p Principal) (Principal, error) {
	if err := LockOrg(ctx, tx, p.OrgID); err != nil {
		return p, err
	}
	if p.Kind != "" && p.Kind != bridge.KindPAT {
		return p, nil // a key has scopes of its own and no membership
	}
	err := tx.QueryRowContext(ctx, "SELECT role FROM members WHERE org_id = $1 AND user_id = $2 AND id = $3", p.OrgID, p.UserID, p.Member).Scan(&p.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return p, errGone
	}
	if err != nil {
		return p, fmt.Errorf("look up a member: %w", err)
	}
	return p, nil
}

var errGone = bridge.E(bridge.Forbidden, bridge.CodeNotAMember, "you are not a member of that organization any more").
	WithHint("ace org list")

// RequireUpdate refuses another organization than the principal's own, and a principal who may not change its settings.
func (p Principal) RequireUpdate(org string) error {
	if err := p.RequireOrg(org); err != nil {
		return err
	}
	return p.RequireScope("organization:update")
}

// Audit returns a page of the organization's audit log, to its admins.
func (st *Store) Audit(ctx context.Context, p Principal, q audit.Query) ([]api.AuditEntry, string, error) {
	if err := p.RequireScope("audit:read"); err != nil {
		return nil, "", err
	}
	q.Org = p.Org
	return audit.List(ctx, st.db.DB, q)
}
