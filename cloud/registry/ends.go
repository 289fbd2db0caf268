package registry

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
)

// Ends is what a change would end.
type Ends struct {
	Here    []api.Ending // at this cloud
	Holders []Holder     // of personal keys on connections' servers
	// Removed is the connection that is deleted with its key and every key made through it; nil if there is none.
	Removed *api.Connection
	More    bool       // holders than were looked at
	Member  api.Member // whom it is about, where it is about one
}

// Holder is a subject who may have personal keys on a connection's server, with what a change leaves them.
type Holder struct {
	Connection api.Connection
	Subject    string
	Ends       bool             // nothing is left
	Left       bridge.KeyAccess // else
}

// Alive reports whether an API key of this cloud is alive.
type Alive func(apiKey uuid.UUID) bool

// errRehearsed rolls back a rehearsed change.
var errRehearsed = errors.New("rehearsed")

// rehearsal is a change in a transaction that is rolled back.
type rehearsal struct {
	r      *Registry
	tx     *sql.Tx
	p      Principal // who would make it
	actor  audit.Actor
	after  settled
	ending []uuid.UUID // API keys that end beside the transaction
	about  string      // ID of the connection that is changed, which they see; empty: none
	out    Ends
}

// rehearse makes a change for real, compares what is alive before and after, and rolls it back: so the preview says what
// the change does. It may void the credentials of person; empty: of nobody.
func (r *Registry) rehearse(ctx context.Context, p Principal, alive Alive, person User, change func(*rehearsal) error) (Ends, error) {
	var out Ends
	err := r.db.Tx(ctx, func(tx *sql.Tx) error {
		x := &rehearsal{r: r, tx: tx, p: p, actor: p.Actor("", "")}
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

// living lists what a person holds in the organization, by identity.
func (x *rehearsal) living(ctx context.Context, of User) (map[string]api.Ending, error) {
	out := map[string]api.Ending{}
	if of.ID == "" {
		return out, nil
	}
	for _, v := range x.r.Voiders() {
		if v.Living == "" {
			continue
		}
		rows, err := x.tx.QueryContext(ctx, v.Living, x.p.OrgID, of.ID, x.r.cfg.Now().Unix())
		err = eachRow(rows, err, func(s scanner) error {
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

// gone notes what a person had and no longer has, and the API keys that have ended.
func (x *rehearsal) gone(ctx context.Context, of User, had map[string]api.Ending) error {
	has, err := x.living(ctx, of)
	if err != nil {
		return err
	}
	if x.r.keys != nil {
		ended, err := x.r.keys.EndedIn(ctx, x.tx, x.after.keys)
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

// lost lists the organization's access tokens whose holders are no longer entitled to them, and that are not being
// withdrawn yet.
func (x *rehearsal) lost(ctx context.Context, alive Alive) (map[string]Lost, error) {
	all, err := lostTokens(ctx, x.tx, func(id uuid.UUID) bool {
		return !slices.Contains(x.after.keys, id) && !slices.Contains(x.ending, id) && alive(id)
	},
		selectLost(holdersOf), x.r.cfg.Now().Unix(), lostBatch, x.p.OrgID)
	if err != nil {
		return nil, err
	}
	out := map[string]Lost{}
	for _, l := range all {
		for _, h := range l.of {
			if h.number == 0 {
				out[strings.Join([]string{l.Connection, h.userID, h.apiKey, h.terms}, "|")] = Lost{Org: l.Org, Connection: l.Connection, of: []handed{h}}
			}
		}
	}
	return out, nil
}

// withdrawn notes the lost access tokens, and what is left to the personal keys of their holders.
func (x *rehearsal) withdrawn(ctx context.Context, alive Alive, before map[string]Lost) error {
	after, err := x.lost(ctx, alive)
	if err != nil {
		return err
	}
	now := x.r.cfg.Now().Unix()
	connections, tokens, holders := map[string]api.Connection{}, map[string]bool{}, map[string]int{}
	for _, row := range slices.Sorted(maps.Keys(after)) {
		l := after[row]
		h := l.of[0]
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
		if h.serverKey != c.KeyID {
			continue // its key has been replaced, and takes all with it
		}
		at := c.ID + " " + h.subject
		if !tokens[at] && h.until+int64(bridge.MaxAccessTokenLife.Seconds()) > now {
			tokens[at] = true
			x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsAccessToken, Fate: api.FateEnds, Name: c.Name, Owner: h.subject, Connection: c.ID})
		}
		if !h.makesKeys {
			continue
		}
		i, known := holders[at]
		switch {
		case !known && len(x.out.Holders) == api.MaxEnds:
			x.out.More = true
			continue
		case !known:
			i = len(x.out.Holders)
			holders[at], x.out.Holders = i, append(x.out.Holders, Holder{Connection: c, Subject: h.subject})
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

func (x *rehearsal) holderNow(ctx context.Context, l Lost, h handed) (bridge.KeyAccess, bool, error) {
	c, err := scanConnection(x.tx.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", l.Connection))
	if err != nil {
		return bridge.KeyAccess{}, false, fmt.Errorf("look up a connection: %w", err)
	}
	left, has, err := x.r.rightsNow(ctx, x.tx, c, l.Org, h)
	return left.access, has, err
}

// hiddenConnection is the name given for a connection that the caller does not see.
const hiddenConnection = "a private connection"

// connection is a connection as the caller sees it, or the one that the change has removed. Of a connection that the caller does not
// see, even after the change, only the ID is given.
func (x *rehearsal) connection(ctx context.Context, id string) (api.Connection, error) {
	if x.out.Removed != nil && x.out.Removed.ID == id {
		return *x.out.Removed, nil
	}
	found, err := scanConnection(x.tx.QueryRowContext(ctx, "SELECT "+connectionColumns+fromConnections+"WHERE c.id = $1", id))
	if errors.Is(err, sql.ErrNoRows) { // it is gone already
		return api.Connection{ID: id}, nil
	}
	if err != nil {
		return api.Connection{}, fmt.Errorf("look up a connection: %w", err)
	}
	if x.about != id {
		switch _, err := x.r.find(ctx, x.tx, x.p, id); {
		case errors.Is(err, errConnection):
			return api.Connection{ID: id, Name: hiddenConnection, KeyID: found.keyID}, nil
		case err != nil:
			return api.Connection{}, err
		}
	}
	return found.api(x.p), nil
}

// EndsOfDelete previews what disconnecting would end.
func (r *Registry) EndsOfDelete(ctx context.Context, p Principal, id string, alive Alive) (Ends, error) {
	return r.rehearse(ctx, p, alive, User{}, func(x *rehearsal) error {
		removed, err := r.deleteIn(ctx, x.tx, p.As(x.actor), id, AsItWas{})
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

// EndsOfPatch previews what another visibility or ceiling would end.
func (r *Registry) EndsOfPatch(ctx context.Context, p Principal, id string, patch api.ConnectionPatch, alive Alive) (Ends, error) {
	return r.rehearse(ctx, p, alive, User{}, func(x *rehearsal) error {
		x.about = id
		p, err := standing(ctx, x.tx, p)
		if err == nil {
			_, err = r.patchIn(ctx, x.tx, p.As(x.actor), id, patch)
		}
		return err
	})
}

// EndsOfLimit previews what a limit for a member or an API key would end.
func (r *Registry) EndsOfLimit(ctx context.Context, p Principal, id string, who Exceptee, l api.MemberLimit, alive Alive) (Ends, error) {
	return r.rehearse(ctx, p, alive, User{}, func(x *rehearsal) error {
		x.about = id
		m, err := r.exceptIn(ctx, x.tx, p.As(x.actor), id, who, limitTo(l))
		x.out.Member = api.Member{ID: m.UserID, Email: m.Email, Name: m.Name}
		return err
	})
}

// EndsOfMember previews what removing a member would end or, with a role, what giving them that role would.
func (r *Registry) EndsOfMember(ctx context.Context, p Principal, org, id, role string, alive Alive) (Ends, error) {
	if err := p.in(org); err != nil {
		return Ends{}, err
	}
	if role != "" {
		to, err := checkRole(role)
		if err != nil {
			return Ends{}, err
		}
		return r.rehearse(ctx, p, alive, User{}, func(x *rehearsal) error {
			if err := p.Need("member:update"); err != nil {
				return err
			}
			before, err := r.member(ctx, x.tx, p, id)
			if err != nil {
				return err
			}
			x.out.Member = before
			_, err = r.changeRoleIn(ctx, x.tx, p.As(x.actor), id, to)
			return err
		})
	}
	person := User{ID: id}
	err := r.db.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", id).Scan(&person.Email)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // whether there is such a member, the removal says
		return Ends{}, fmt.Errorf("look up a member: %w", err)
	}
	return r.rehearse(ctx, p, alive, person, func(x *rehearsal) error {
		removed, err := r.removeMemberIn(ctx, x.tx, p.As(x.actor), id, &x.after)
		x.out.Member = removed.Member
		for _, c := range removed.Connections {
			x.out.Here = append(x.out.Here, api.Ending{Kind: api.EndsConnection, Fate: api.FateLeft, ID: c.ID, Name: c.Name, Owner: c.Owner})
		}
		return err
	})
}

// EndsOfKeys previews what ends with API keys of this cloud: the access tokens that were handed to them.
func (r *Registry) EndsOfKeys(ctx context.Context, p Principal, ending []uuid.UUID, alive Alive) (Ends, error) {
	return r.rehearse(ctx, p, alive, User{}, func(x *rehearsal) error {
		x.ending = ending
		return nil
	})
}
