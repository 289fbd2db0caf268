// Package preview finds out what a change would end, before it is made.
//
// It makes the change in a transaction, compares what is alive before and after, and rolls it back. It runs the same code as the
// change, so the two cannot differ:
//
//	living before ──> the change itself ──> living after ──> roll back
//	      └────────────── what differs is the preview ────────────┘
//
// Meanwhile it holds SQLite's only write lock. What ends on customers' servers is not known here: a preview lists the holders who
// may have keys there, and cloud/servers asks the servers.
package preview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
	"github.com/acebridge/ace/cloud/tokens"
)

// Config holds everything that a preview may use. Every field is required.
type Config struct {
	DB          *schema.DB
	Accounts    *accounts.Store
	Connections *connections.Store
	Tokens      *tokens.Tokens
}

// Preview makes changes and rolls them back. It is safe for concurrent use.
type Preview struct {
	db          *schema.DB
	accounts    *accounts.Store
	connections *connections.Store
	tokens      *tokens.Tokens
	keys        accounts.Keys // of the cloud itself; nil: see [Preview.UseKeys]
}

// New returns the previews of a cloud.
func New(cfg Config) *Preview {
	return &Preview{db: cfg.DB, accounts: cfg.Accounts, connections: cfg.Connections, tokens: cfg.Tokens}
}

// UseKeys connects the cloud's own API keys, since a change may end some of them.
func (pv *Preview) UseKeys(k accounts.Keys) { pv.keys = k }

// Ends is what a change would end.
type Ends struct {
	Here    []api.Ending // at this cloud
	Holders []Holder     // who may have personal keys on servers; at most api.MaxEnds
	// Removed is the connection that is deleted with its key and every key made through it; nil: none.
	Removed *api.Connection
	More    bool       // there are more holders than listed
	Member  api.Member // the member that the change is about; zero: none
}

// Holder is a subject who may have personal keys on a connection's server.
type Holder struct {
	Connection api.Connection
	Subject    string
	Ends       bool             // the change leaves them nothing
	Left       bridge.KeyAccess // what it leaves them otherwise
}

// Alive reports whether an API key of this cloud is alive.
type Alive func(apiKey uuid.UUID) bool

// errRehearsed rolls back a rehearsed change.
var errRehearsed = errors.New("rehearsed")

// rehearsal is a change in a transaction that is rolled back.
type rehearsal struct {
	r      *Preview
	tx     *sql.Tx
	p      accounts.Principal // who would make it
	actor  audit.Actor
	after  accounts.AfterCommit
	ending []uuid.UUID // API keys that the change ends outside the transaction
	about  string      // ID of the connection that is changed, which they may see; empty: none
	out    Ends
}

// rehearse makes a change, compares what is alive before and after, and rolls it back. person is the one whose credentials the
// change may void; empty: nobody.
func (pv *Preview) rehearse(ctx context.Context, p accounts.Principal, alive Alive, person accounts.User, change func(*rehearsal) error) (Ends, error) {
	var out Ends
	err := pv.db.Tx(ctx, func(tx *sql.Tx) error {
		x := &rehearsal{r: pv, tx: tx, p: p, actor: p.Actor("", "")}
		had, err := x.living(ctx, person)
		if err != nil {
			return err
		}
		lost, err := x.lost(ctx, alive)
		if err != nil {
			return err
		}
		if err := change(x); err != nil {
			return err
		}
		if err := x.gone(ctx, person, had); err != nil {
			return err
		}
		if err := x.withdrawn(ctx, alive, lost); err != nil {
			return err
		}
		out = x.out
		return errRehearsed
	})
	if !errors.Is(err, errRehearsed) {
		return Ends{}, err
	}
	return out, nil
}

// living lists the live credentials of a person in the organization, by kind and identity.
func (x *rehearsal) living(ctx context.Context, of accounts.User) (map[string]api.Ending, error) {
	out := map[string]api.Ending{}
	if of.ID == "" {
		return out, nil
	}
	for _, v := range x.r.accounts.Voiders() {
		if v.Living == "" {
			continue
		}
		rows, err := x.tx.QueryContext(ctx, v.Living, x.p.OrgID, of.ID, x.r.db.Now().Unix())
		err = sqldb.Each(rows, err, func(s sqldb.Row) error {
			one, identity := api.Ending{Fate: api.FateEnds, Owner: of.Email}, ""
			err := s.Scan(&identity, &one.Kind, &one.ID, &one.Name)
			out[one.Kind+" "+identity] = one
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", v.Kind, err)
		}
	}
	return out, nil
}

// gone adds to the preview what a person had and no longer has, and the API keys that have ended.
func (x *rehearsal) gone(ctx context.Context, of accounts.User, had map[string]api.Ending) error {
	has, err := x.living(ctx, of)
	if err != nil {
		return err
	}
	if x.r.keys != nil {
		ended, err := x.r.keys.EndedIn(ctx, x.tx, x.after.Keys)
		if err != nil {
			return err
		}
		for _, k := range ended {
			x.out.Here = append(x.out.Here, api.EndingOf(k))
		}
	}
	var rest []api.Ending
	for identity, one := range had {
		if _, still := has[identity]; !still {
			rest = append(rest, one)
		}
	}
	slices.SortFunc(rest, func(a, b api.Ending) int { return strings.Compare(a.Kind+a.Name+a.ID, b.Kind+b.Name+b.ID) })
	x.out.Here = append(x.out.Here, rest...)
	return nil
}

// lost lists the organization's access tokens whose holders may no longer have them and whose withdrawal has not begun.
func (x *rehearsal) lost(ctx context.Context, alive Alive) (map[string]tokens.Lost, error) {
	all, err := tokens.LostIn(ctx, x.tx, x.p.OrgID, x.r.db.Now(), func(id uuid.UUID) bool {
		return !slices.Contains(x.after.Keys, id) && !slices.Contains(x.ending, id) && alive(id)
	})
	if err != nil {
		return nil, err
	}
	out := map[string]tokens.Lost{}
	for _, l := range all {
		for _, h := range l.Of {
			if h.Number == 0 {
				out[strings.Join([]string{l.Connection, h.UserID, h.APIKey, h.Terms}, "|")] = tokens.Lost{Org: l.Org, Connection: l.Connection, Of: []tokens.Handed{h}}
			}
		}
	}
	return out, nil
}

// withdrawn adds to the preview the access tokens that are lost, and what is left to the personal keys of their holders.
func (x *rehearsal) withdrawn(ctx context.Context, alive Alive, before map[string]tokens.Lost) error {
	after, err := x.lost(ctx, alive)
	if err != nil {
		return err
	}
	now := x.r.db.Now().Unix()
	connections, tokens, holders := map[string]api.Connection{}, map[string]bool{}, map[string]int{}
	for _, row := range slices.Sorted(maps.Keys(after)) {
		l := after[row]
		h := l.Of[0]
		if _, already := before[row]; already {
			continue
		}
		c, ok := connections[l.Connection]
		if !ok {
			if c, err = x.connection(ctx, l.Connection); err != nil {
				return err
			}
			connections[l.Connection] = c
		}
		if h.ServerKey != c.KeyID {
			continue // the connection's key was replaced, which ended everything made with the old one
		}
		at := c.ID + " " + h.Subject
		if !tokens[at] && h.Until+int64(bridge.MaxAccessTokenLife.Seconds()) > now {
			tokens[at] = true
			x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsAccessToken, Fate: api.FateEnds, Name: c.Name, Owner: h.Subject, Connection: c.ID})
		}
		if !h.MakesKeys {
			continue
		}
		i, known := holders[at]
		switch {
		case !known && len(x.out.Holders) == api.MaxEnds:
			x.out.More = true
			continue
		case !known:
			i = len(x.out.Holders)
			holders[at], x.out.Holders = i, append(x.out.Holders, Holder{Connection: c, Subject: h.Subject})
		case x.out.Holders[i].Ends:
			continue
		}
		if x.out.Removed != nil {
			x.out.Holders[i].Ends = true
			continue
		}
		left, has, err := x.holderNow(ctx, l, h)
		if err != nil {
			return err
		}
		x.out.Holders[i].Left, x.out.Holders[i].Ends = left, !has
	}
	return nil
}

// holderNow returns what the holder of a lost token may still do on its server; has is false for nothing.
func (x *rehearsal) holderNow(ctx context.Context, l tokens.Lost, h tokens.Handed) (bridge.KeyAccess, bool, error) {
	c, err := connections.FindAny(ctx, x.tx, l.Connection)
	if err != nil {
		return bridge.KeyAccess{}, false, fmt.Errorf("look up a connection: %w", err)
	}
	left, has, err := x.r.tokens.RightsNow(ctx, x.tx, c, l.Org, h)
	return left.Access, has, err
}

// hiddenConnection is the name given for a connection that the caller does not see.
const hiddenConnection = "a private connection"

// connection returns a connection as the caller sees it, or the one that the change has removed. Of a connection that the caller
// does not see, only the ID and the key's ID are given.
func (x *rehearsal) connection(ctx context.Context, id string) (api.Connection, error) {
	if x.out.Removed != nil && x.out.Removed.ID == id {
		return *x.out.Removed, nil
	}
	found, err := connections.FindAny(ctx, x.tx, id)
	if errors.Is(err, sql.ErrNoRows) { // it is gone already
		return api.Connection{ID: id}, nil
	}
	if err != nil {
		return api.Connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	if x.about != id {
		switch _, err := x.r.connections.Find(ctx, x.tx, x.p, id); {
		case errors.Is(err, connections.ErrConnection):
			return api.Connection{ID: id, Name: hiddenConnection, KeyID: found.KeyID}, nil
		case err != nil:
			return api.Connection{}, err
		}
	}
	return found.API(x.p), nil
}

// EndsOfDelete previews what disconnecting would end. Like all previews, it fails as the change itself would.
func (pv *Preview) EndsOfDelete(ctx context.Context, p accounts.Principal, id string, alive Alive) (Ends, error) {
	return pv.rehearse(ctx, p, alive, accounts.User{}, func(x *rehearsal) error {
		removed, err := pv.connections.DeleteIn(ctx, x.tx, p.As(x.actor), id, connections.AsItWas{})
		if err != nil {
			return err
		}
		c := removed.Connection
		x.out.Removed = &c
		x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsConnection, Fate: api.FateEnds, ID: c.ID, Name: c.Name, Owner: c.Owner})
		if c.KeyID != "" {
			x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsConnectionKey, Fate: api.FateEnds, ID: c.KeyID, Name: c.Name, Connection: c.ID})
		}
		return nil
	})
}

// EndsOfPatch previews what a change of visibility or ceiling would end.
func (pv *Preview) EndsOfPatch(ctx context.Context, p accounts.Principal, id string, patch api.ConnectionPatch, alive Alive) (Ends, error) {
	return pv.rehearse(ctx, p, alive, accounts.User{}, func(x *rehearsal) error {
		x.about = id
		p, err := accounts.Standing(ctx, x.tx, p)
		if err == nil {
			_, err = pv.connections.PatchIn(ctx, x.tx, p.As(x.actor), id, patch)
		}
		return err
	})
}

// EndsOfLimit previews what a limit for a member or an API key would end.
func (pv *Preview) EndsOfLimit(ctx context.Context, p accounts.Principal, id string, who connections.LimitSubject, l api.MemberLimit, alive Alive) (Ends, error) {
	return pv.rehearse(ctx, p, alive, accounts.User{}, func(x *rehearsal) error {
		x.about = id
		m, err := pv.connections.SetLimitIn(ctx, x.tx, p.As(x.actor), id, who, connections.LimitTo(l))
		x.out.Member = api.Member{ID: m.UserID, Email: m.Email, Name: m.Name}
		return err
	})
}

// EndsOfMember previews what a change of role would end or, with an empty role, the removal of a member.
func (pv *Preview) EndsOfMember(ctx context.Context, p accounts.Principal, org, id, role string, alive Alive) (Ends, error) {
	if err := p.RequireOrg(org); err != nil {
		return Ends{}, err
	}
	if role != "" {
		to, err := accounts.CheckRole(role)
		if err != nil {
			return Ends{}, err
		}
		return pv.rehearse(ctx, p, alive, accounts.User{}, func(x *rehearsal) error {
			if err := p.RequireScope("member:update"); err != nil {
				return err
			}
			before, err := pv.accounts.Member(ctx, x.tx, p, id)
			if err != nil {
				return err
			}
			x.out.Member = before
			_, err = pv.accounts.ChangeRoleIn(ctx, x.tx, p.As(x.actor), id, to)
			return err
		})
	}
	person := accounts.User{ID: id}
	err := pv.db.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", id).Scan(&person.Email)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // the removal refuses an unknown member
		return Ends{}, fmt.Errorf("look up a member: %w", err)
	}
	return pv.rehearse(ctx, p, alive, person, func(x *rehearsal) error {
		removed, err := pv.accounts.RemoveMemberIn(ctx, x.tx, p.As(x.actor), id, &x.after)
		x.out.Member = removed.Member
		for _, c := range removed.Connections {
			x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsConnection, Fate: api.FateLeft, ID: c.ID, Name: c.Name, Owner: c.Owner})
		}
		return err
	})
}

// EndsOfKeys previews what ends with API keys of this cloud: the access tokens that they were given.
func (pv *Preview) EndsOfKeys(ctx context.Context, p accounts.Principal, ending []uuid.UUID, alive Alive) (Ends, error) {
	return pv.rehearse(ctx, p, alive, accounts.User{}, func(x *rehearsal) error {
		x.ending = ending
		return nil
	})
}
