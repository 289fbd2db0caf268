package connections

import (
	"context"
	"strings"

	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/accounts"
)

// Terms fingerprint the role, ceiling and limits that an access token is issued under: while they stay the same, the token may
// live until it expires. No scope, role or access contains the separator.
func Terms(p accounts.Principal, b Bounds) string {
	parts := []string{p.Member, string(p.Role), b.ceiling, b.own.access, b.own.ceiling, b.maker.access, b.maker.ceiling}
	for _, l := range b.parents {
		if l.access != "" {
			parts = append(parts, l.access, l.ceiling)
		}
	}
	return strings.Join(parts, "|")
}

// termsNow computes the terms in SQL, from a row "caller", a connection c, and the limits l, k and k1 to k3; see [withLimits].
const termsNow = `COALESCE((SELECT m.id FROM members m WHERE m.org_id = caller.org_id AND m.user_id = caller.user_id), '') || '|' ||
	CASE WHEN c.owner_id = caller.user_id THEN caller.its_role || '|||||' ELSE caller.its_role || '|' || c.ceiling || '|' || COALESCE(l.access, '') || '|' ||
	COALESCE(l.ceiling, '') || '|' || COALESCE(k.access, '') || '|' || COALESCE(k.ceiling, '') ||
	COALESCE('|' || k1.access || '|' || k1.ceiling, '') || COALESCE('|' || k2.access || '|' || k2.ceiling, '') ||
	COALESCE('|' || k3.access || '|' || k3.ceiling, '') END`

// Entitled is SQL that tells whether a token's holder may still use the connection on the token's terms. The holder is a row
// "caller" with the columns of [callerColumns], its_role and terms; $1 is the time.
const Entitled = `EXISTS (SELECT 1 FROM connections c JOIN users u ON u.id = c.owner_id` + withLimits + `
		WHERE c.id = caller.connection AND` + usable + `AND` + stands + `AND caller.terms = ` + termsNow + `)`

// manyBatch bounds the callers of one statement.
const manyBatch = 100

// Ask asks whether a caller may use a connection.
type Ask struct {
	accounts.Principal
	Connection string // ID
}

// Usable answers many asks with few statements. It calls found with the index of each ask whose caller may use the connection,
// and whose session or membership is in force with the same role. Only the connection's server, owner, key, ceiling and limits
// are set.
func (st *Store) Usable(ctx context.Context, asks []Ask, found func(i int, c Connection)) error {
	for from := 0; from < len(asks); from += manyBatch {
		args := []any{st.db.Now().Unix()}
		var callers []callerRow
		for _, ask := range asks[from:min(from+manyBatch, len(asks))] {
			callers = append(callers, callerRow{Principal: ask.Principal, connection: ask.Connection})
		}
		rows, err := st.db.QueryContext(ctx, callerRows(&args, callers...)+ //nolint:gosec // numbers of parameters
			`SELECT caller.n, c.server_url, c.key_id, c.secret, c.owner_id, c.ceiling, `+limitColumns+` FROM caller JOIN connections c ON c.id = caller.connection
			JOIN users u ON u.id = c.owner_id`+withLimits+`WHERE`+usable+`AND`+stands, args...)
		err = sqldb.Each(rows, err, func(s sqldb.Row) error {
			var i int
			var c Connection
			err := s.Scan(append([]any{&i, &c.Server, &c.KeyID, &c.Secret, &c.OwnerID, &c.ceiling}, c.limitFields()...)...)
			if err == nil {
				found(from+i, c)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
