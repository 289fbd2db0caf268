package joins

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
)

// joiner is a server that joins, and how.
type joiner struct {
	token token // its ID is empty if the cloud has made no such token
	org   accounts.Principal
	actor audit.Actor
	hash  string // of the token
}

// proof is what the server signs at the first step of a join, if it has joined before.
func (st *Store) proof(j joiner, serverID string) bridge.JoinProof {
	return bridge.JoinProof{Cloud: st.issuer, Token: j.hash, Server: serverID}
}

// server checks what a server says of itself: its ID, and a URL that is its own.
func server(id, rawURL string) (bridge.ServerURL, error) {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return "", malformed("the server's ID is not a UUID in its usual form")
	}
	url, err := bridge.CanonicalURL(rawURL)
	switch {
	case err != nil:
		return "", err
	case url.LinkOnly() && url != bridge.LinkURL(id):
		return "", bridge.E(bridge.Invalid, bridge.CodeLinkURL, "the address is that of another server")
	case url.URL().Scheme != "https" && !url.Loopback():
		return "", malformed("the server's URL must be https, or on loopback")
	}
	return url, nil
}

// Begin counts a use of a join token for a server, unless the same server has used it already, and returns a connect token with
// which the server issues its own key. from is where the request comes from. A server that is refused has taken no use.
func (st *Store) Begin(ctx context.Context, secret bridge.Secret, req api.JoinRequest, from audit.Actor) (api.JoinAnswer, error) {
	var out api.JoinAnswer
	url, err := server(req.ServerID, req.ServerURL)
	if err != nil {
		return out, err
	}
	var j joiner
	err = st.db.Change(ctx, func(tx *sql.Tx) (err error) {
		if j, err = st.joiner(ctx, tx, secret, from); err != nil {
			return err
		}
		if err := st.use(ctx, tx, j.token, req.ServerID); err != nil {
			return err
		}
		claims, err := st.joined.Claims(ctx, tx, j.org, connections.JoinedServer{ID: req.ServerID, URL: url, Proof: st.proof(j, req.ServerID), Proofs: req.Proofs})
		if err != nil {
			return err
		}
		connect, kid, err := connections.SignConnect(st.root, claims, req.KeyIDs)
		if err != nil {
			return err
		}
		out = api.JoinAnswer{Org: j.org.Org, Organization: j.org.Name, ConnectToken: connect.Disclose()}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: j.actor, Action: "join_token.use", Target: "join_token:" + j.token.id,
			Details: map[string]string{"name": j.token.name, "server_id": req.ServerID, "server_url": string(url), "kid": kid}})
	})
	if err != nil {
		return api.JoinAnswer{}, st.refused(ctx, j, "join_token.use", req.ServerID, err)
	}
	return out, nil
}

// refused audits why a server may not join, if the cloud knows its token, and returns the cause. Too many refusals of a token are not
// all written: nobody fills the audit log.
func (st *Store) refused(ctx context.Context, j joiner, action, serverID string, cause error) error {
	e := bridge.AsError(cause)
	if j.token.id == "" || e.Kind == bridge.Internal || st.refusals.Allow(j.token.id) != nil {
		return cause
	}
	if err := audit.Record(context.WithoutCancel(ctx), st.db.DB, st.db.Now(), audit.Entry{Actor: j.actor, Action: action, Target: "join_token:" + j.token.id,
		Outcome: string(e.Code), Details: map[string]string{"name": j.token.name, "server_id": serverID}}); err != nil {
		return err
	}
	return cause
}

// joiner finds the token, and refuses one that does not count any more, which it returns as well. Whether it has a use left is for [Store.use] to say.
func (st *Store) joiner(ctx context.Context, tx *sql.Tx, secret bridge.Secret, from audit.Actor) (joiner, error) {
	invalid := bridge.E(bridge.Unauthenticated, bridge.CodeJoinTokenInvalid, "this cloud has made no such join token").
		WithHint("make one: ace org join-token create")
	parsed, err := bridge.ParseJoinToken(secret)
	if err != nil {
		return joiner{}, err
	}
	if parsed.Cloud() != st.issuer {
		return joiner{}, invalid
	}
	t, err := scanToken(tx.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM join_tokens t WHERE t.hash = $1", parsed.Hash()))
	if errors.Is(err, sql.ErrNoRows) {
		return joiner{}, invalid
	}
	if err != nil {
		return joiner{}, fmt.Errorf("look up a join token: %w", err)
	}
	j := joiner{token: t, actor: from, hash: parsed.Hash()}
	if j.org, err = accounts.OrganizationPrincipal(ctx, tx, t.orgID); err != nil {
		return joiner{}, err
	}
	j.actor.ID, j.actor.Org = "join_token:"+t.id, j.org.Org
	if parsed.Org() != j.org.Org {
		return j, bridge.E(bridge.Forbidden, bridge.CodeJoinOther, "the join token belongs to another organization")
	}
	now := st.db.Now()
	switch t.state(now) {
	case api.JoinRevoked:
		return j, errEnded("it was revoked")
	case api.JoinExpired:
		return j, errEnded("it has expired")
	}
	return j, t.requireMaker(ctx, tx, j.org, now)
}

// use counts a use by a server. A server that has used the token before takes no other use of it.
func (st *Store) use(ctx context.Context, tx *sql.Tx, t token, serverID string) error {
	now := st.db.Now().Unix()
	first, err := sqldb.Changed(tx.ExecContext(ctx, `INSERT INTO join_uses (token_id, server_id, at) VALUES ($1, $2, $3)
		ON CONFLICT (token_id, server_id) DO NOTHING`, t.id, serverID, now))
	if err != nil {
		return fmt.Errorf("use a join token: %w", err)
	}
	if !first {
		return nil
	}
	counted, err := sqldb.Changed(tx.ExecContext(ctx, `UPDATE join_tokens SET used = used + 1, used_at = $1
		WHERE id = $2 AND used < uses AND ended_at = 0 AND expires_at > $1`, now, t.id))
	switch {
	case err != nil:
		return fmt.Errorf("use a join token: %w", err)
	case counted:
		return nil
	case t.uses == 1:
		return errOther
	}
	return errEnded(fmt.Sprintf("%d servers have joined with it, which is all that it was for", t.uses))
}

var errOther = bridge.E(bridge.Forbidden, bridge.CodeJoinOther, "another server has joined with this token").
	WithHint("each server needs a token of its own, or one for several: ace org join-token create --uses N")

// Complete registers a server that has begun to join: its connection belongs to the organization. The same server may repeat it.
func (st *Store) Complete(ctx context.Context, secret bridge.Secret, req api.JoinComplete, from audit.Actor) (api.Connection, error) {
	var out connections.Connection
	url, err := server(req.ServerID, req.ServerURL)
	if err != nil {
		return api.Connection{}, err
	}
	var j joiner
	err = st.db.Change(ctx, func(tx *sql.Tx) (err error) {
		if j, err = st.joiner(ctx, tx, secret, from); err != nil {
			return err
		}
		var begun bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM join_uses WHERE token_id = $1 AND server_id = $2)", j.token.id, req.ServerID).Scan(&begun); err != nil {
			return fmt.Errorf("look up a join: %w", err)
		}
		if !begun {
			return errOther
		}
		proof := st.proof(j, req.ServerID)
		proof.LinkKey, proof.KeyID = req.LinkKey, req.KeyID
		var created bool
		out, created, err = st.joined.Register(ctx, tx, j.org, connections.JoinedServer{ID: req.ServerID, URL: url, Name: req.Name, SealedKey: req.SealedKey,
			KeyID: req.KeyID, LinkKey: req.LinkKey, Tags: j.token.tagList(), Share: j.token.share, Proof: proof, Proofs: req.Proofs})
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, st.db.Now(), audit.Entry{Actor: j.actor, Action: "connection.join", Target: "connection:" + out.ID,
			Details: map[string]string{"name": out.Name, "server_id": req.ServerID, "server_url": string(url), "key_id": out.KeyID,
				"again": fmt.Sprint(!created), "made_by": j.token.maker.actor, "shared": fmt.Sprint(created && j.token.share)}})
	})
	st.feed.RightsChanged()
	if err != nil {
		return api.Connection{}, st.refused(ctx, j, "connection.join", req.ServerID, err)
	}
	return out.API(j.org), nil
}
