package registry

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fernet/fernet-go"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// RowIdentity is the row that a ciphertext belongs to: under another one it does not open.
type RowIdentity struct {
	Org        string // ID
	Connection string // ID of the connection; of another kind of row the kind and its ID, such as totp:ID
	Server     bridge.ServerURL
}

func (r RowIdentity) info() string {
	info, err := json.Marshal([]string{"ace row v1", r.Org, r.Connection, r.Server.Origin()})
	if err != nil {
		panic(err) // strings always encode
	}
	return string(info)
}

// Vault encrypts the secrets of rows with Fernet (github.com/fernet/spec), each row under a key of its own that is
// derived by HKDF-SHA256 from a Fernet key and the row's identity. The first key encrypts, all decrypt.
type Vault struct {
	keys []*fernet.Key
}

// NewVault reads ACE_DATABASE_ENCRYPTION_KEY: one or more Fernet keys, separated by commas.
func NewVault(value bridge.Secret) (*Vault, error) {
	v := &Vault{}
	for part := range strings.SplitSeq(value.Reveal(), ",") {
		raw, err := base64.URLEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != len(fernet.Key{}) {
			return nil, bridge.E(bridge.Invalid, "encryption_key_malformed",
				"ACE_DATABASE_ENCRYPTION_KEY: a value is not a Fernet key, which is 32 bytes in base64url with padding").
				WithHint("make one with: ace cloud new-encryption-key")
		}
		key := fernet.Key(raw)
		v.keys = append(v.keys, &key)
	}
	return v, nil
}

// NewEncryptionKey makes a value for ACE_DATABASE_ENCRYPTION_KEY.
func NewEncryptionKey() (bridge.Secret, error) {
	var key fernet.Key
	if err := key.Generate(); err != nil {
		return bridge.Secret{}, fmt.Errorf("make an encryption key: %w", err)
	}
	return bridge.NewSecret(key.Encode()), nil
}

func rowKey(k *fernet.Key, row RowIdentity) (*fernet.Key, error) {
	raw, err := hkdf.Key(sha256.New, k[:], nil, row.info(), len(fernet.Key{}))
	if err != nil {
		return nil, fmt.Errorf("derive a row's key: %w", err)
	}
	key := fernet.Key(raw)
	return &key, nil
}

// Seal encrypts a row's secret.
func (v *Vault) Seal(row RowIdentity, secret bridge.Secret) (string, error) {
	key, err := rowKey(v.keys[0], row)
	if err != nil {
		return "", err
	}
	token, err := fernet.EncryptAndSign([]byte(secret.Reveal()), key)
	if err != nil {
		return "", fmt.Errorf("encrypt a row: %w", err)
	}
	return string(token), nil
}

// errVault is deliberately one error for every reason.
func errVault() error {
	return bridge.E(bridge.Internal, "row_unreadable", "the stored credential cannot be decrypted").
		WithHint("is the key that encrypted it still in ACE_DATABASE_ENCRYPTION_KEY?")
}

// Open decrypts a row's secret. Tokens do not age (ttl 0); one that is not in canonical base64 is refused, which
// fernet-go would read.
func (v *Vault) Open(row RowIdentity, token string) (bridge.Secret, error) {
	secret, _, err := v.open(row, token)
	return secret, err
}

// open says as well whether the first key has encrypted the token.
func (v *Vault) open(row RowIdentity, token string) (secret bridge.Secret, current bool, err error) {
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || base64.URLEncoding.EncodeToString(raw) != token {
		return bridge.Secret{}, false, errVault()
	}
	for i, k := range v.keys {
		key, err := rowKey(k, row)
		if err != nil {
			return bridge.Secret{}, false, err
		}
		if text := fernet.VerifyAndDecrypt([]byte(token), 0, []*fernet.Key{key}); text != nil {
			return bridge.NewSecret(string(text)), i == 0, nil
		}
	}
	return bridge.Secret{}, false, errVault()
}

// sealedRow is a row with a ciphertext: where it is, and whose.
type sealedRow struct {
	table, column, key string // key: the column that names the row
	org, server, kind  string // SQL for the organization and the server, and what stands before the row's ID, of its identity
	id, token          string
	identity           RowIdentity
}

// sealedColumns are all columns with ciphertexts.
var sealedColumns = []sealedRow{
	{table: "connections", column: "secret", key: "id", org: "org_id", server: "server_url"},
	{table: "connections", column: "rotate_key", key: "id", org: "org_id", server: "server_url", kind: "rotation:"},
	{table: "revocations", column: "token", key: "id", org: "org_id", server: "server_url"},
	{table: "providers", column: "client_secret", key: "id", org: "org_id", server: "''", kind: "provider:"},
	{table: "outbox", column: "body", key: "id", org: "''", server: "''", kind: "mail:"},
	{table: "totp", column: "secret", key: "user_id", org: "''", server: "''", kind: "totp:"},
}

// RotateEncryptionKey encrypts every row anew with the first key. It goes row by row, each in one conditional UPDATE,
// so that it can be interrupted and run again, beside a running cloud. A row that no key opens does not stop the others;
// the error at the end counts them. progress is told after each row.
func (r *Registry) RotateEncryptionKey(ctx context.Context, progress func(done, total int)) (changed int, err error) {
	rows, err := r.sealedRows(ctx)
	if err != nil {
		return 0, err
	}
	unreadable := 0
	for i, row := range rows {
		secret, current, err := r.cfg.Vault.open(row.identity, row.token)
		if err != nil {
			unreadable++
		} else if !current {
			token, err := r.cfg.Vault.Seal(row.identity, secret)
			if err != nil {
				return changed, err
			}
			done, err := sqldb.Changed(r.db.ExecContext(ctx, "UPDATE "+row.table+" SET "+row.column+ //nolint:gosec // names from below
				" = $1 WHERE "+row.key+" = $2 AND "+row.column+" = $3", token, row.id, row.token))
			if err != nil {
				return changed, fmt.Errorf("rotate a row: %w", err)
			}
			if done {
				changed++
			}
		}
		progress(i+1, len(rows))
	}
	if unreadable > 0 {
		return changed, bridge.E(bridge.Conflict, "rows_unreadable", "%d of %d rows open with none of the keys", unreadable, len(rows)).
			WithHint("add the key that encrypted them to ACE_DATABASE_ENCRYPTION_KEY, and run it again")
	}
	return changed, nil
}

func (r *Registry) sealedRows(ctx context.Context) ([]sealedRow, error) {
	var out []sealedRow
	for _, q := range sealedColumns {
		err := func() error {
			rows, err := r.db.QueryContext(ctx, "SELECT "+q.key+", "+q.org+", "+q.server+", "+q.column+ //nolint:gosec // names from above
				" FROM "+q.table+" WHERE "+q.column+" <> '' ORDER BY "+q.key)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				row := q
				if err := rows.Scan(&row.id, &row.identity.Org, &row.identity.Server, &row.token); err != nil {
					return err
				}
				row.identity.Connection = row.kind + row.id
				out = append(out, row)
			}
			return rows.Err()
		}()
		if err != nil {
			return nil, fmt.Errorf("read the %s: %w", q.table, err)
		}
	}
	return out, nil
}
