package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fernet/fernet-go"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
	"github.com/acebridge/ace/cloud/schema"
)

// RowIdentity identifies the row that a ciphertext belongs to. It opens under no other identity.
type RowIdentity struct {
	Org        string           // ID; empty for rows that belong to a person
	Connection string           // ID of the connection; for other rows their kind and ID, such as totp:ID
	Server     bridge.ServerURL // of a connection; else empty
}

// info is the identity as HKDF takes it. It must never change: every stored ciphertext depends on it.
func (r RowIdentity) info() string {
	info, err := json.Marshal([]string{"ace row v1", r.Org, r.Connection, r.Server.Origin()})
	if err != nil {
		panic(err) // strings always encode
	}
	return string(info)
}

// Vault encrypts secrets with Fernet (github.com/fernet/spec), each under the key of its row. It is safe for concurrent use.
//
// A stored value is the ID of the encryption key and the Fernet token, as in ab12cd34.gAAAAA…. Rows of older versions lack the ID
// until [Keeper.CheckKeys] has found it.
type Vault struct {
	keys []vaultKey
}

type vaultKey struct {
	id  string
	key *fernet.Key
}

const (
	keyIDLength = 8 // hex digits
	keyIDEnd    = "."
)

// keyID returns the ID of an encryption key, from which the key cannot be derived.
func keyID(k *fernet.Key) string {
	raw, err := hkdf.Key(sha256.New, k[:], nil, "ace encryption key id v1", keyIDLength/2)
	if err != nil {
		panic(err) // only for a length that HKDF cannot make
	}
	return hex.EncodeToString(raw)
}

// KeyIDs lists the IDs of the keys, the first key first.
func (v *Vault) KeyIDs() []string {
	var out []string
	for _, k := range v.keys {
		out = append(out, k.id)
	}
	return out
}

// NewVault reads ACE_DATABASE_ENCRYPTION_KEY: one or more Fernet keys, separated by commas. A value that is not a key is refused
// with [bridge.CodeEncryptionKeyMalformed], which does not repeat it.
func NewVault(value bridge.Secret) (*Vault, error) {
	v := &Vault{}
	for part := range strings.SplitSeq(value.Reveal(), ",") {
		raw, err := base64.URLEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != len(fernet.Key{}) {
			return nil, bridge.E(bridge.Invalid, bridge.CodeEncryptionKeyMalformed,
				"ACE_DATABASE_ENCRYPTION_KEY: a value is not a Fernet key, which is 32 bytes in base64url with padding").
				WithHint("make one with: ace cloud new-encryption-key")
		}
		key := fernet.Key(raw)
		v.keys = append(v.keys, vaultKey{keyID(&key), &key})
	}
	return v, nil
}

// NewEncryptionKey makes a key for ACE_DATABASE_ENCRYPTION_KEY: 32 random bytes in base64url.
func NewEncryptionKey() (bridge.Secret, error) {
	var key fernet.Key
	if err := key.Generate(); err != nil {
		return bridge.Secret{}, fmt.Errorf("make an encryption key: %w", err)
	}
	return bridge.NewSecret(key.Encode()), nil
}

// rowKey derives the key of a row.
func rowKey(k *fernet.Key, row RowIdentity) (*fernet.Key, error) {
	raw, err := hkdf.Key(sha256.New, k[:], nil, row.info(), len(fernet.Key{}))
	if err != nil {
		return nil, fmt.Errorf("derive a row's key: %w", err)
	}
	key := fernet.Key(raw)
	return &key, nil
}

// Seal encrypts the secret of a row with the first key.
func (v *Vault) Seal(row RowIdentity, secret bridge.Secret) (string, error) {
	key, err := rowKey(v.keys[0].key, row)
	if err != nil {
		return "", err
	}
	token, err := fernet.EncryptAndSign([]byte(secret.Reveal()), key)
	if err != nil {
		return "", fmt.Errorf("encrypt a row: %w", err)
	}
	return v.keys[0].id + keyIDEnd + string(token), nil
}

// errVault is the one error of a ciphertext that does not open, whatever the reason. The ID of a missing key is only its cause,
// which goes to the log.
func errVault(missing string) error {
	e := bridge.E(bridge.Internal, bridge.CodeRowUnreadable, "the stored credential cannot be decrypted").
		WithHint("is the key that encrypted it still in ACE_DATABASE_ENCRYPTION_KEY?")
	if missing != "" {
		return e.Because(fmt.Errorf("the encryption key with the ID %s is not in ACE_DATABASE_ENCRYPTION_KEY", missing))
	}
	return e
}

// Open decrypts the secret of a row. It fails with [bridge.CodeRowUnreadable] if no key opens it. Tokens do not expire (ttl 0).
// Base64 that is not canonical is refused, although fernet-go would accept it.
func (v *Vault) Open(row RowIdentity, stored string) (bridge.Secret, error) {
	secret, _, err := v.OpenWith(row, stored)
	return secret, err
}

// OpenWith is [Vault.Open], and also returns the ID of the key that encrypted the secret.
func (v *Vault) OpenWith(row RowIdentity, stored string) (secret bridge.Secret, by string, err error) {
	id, token := splitSealed(stored)
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || base64.URLEncoding.EncodeToString(raw) != token {
		return bridge.Secret{}, "", errVault("")
	}
	missing := id
	for _, k := range v.keys {
		if id != "" && k.id != id {
			continue
		}
		missing = ""
		key, err := rowKey(k.key, row)
		if err != nil {
			return bridge.Secret{}, "", err
		}
		if text := fernet.VerifyAndDecrypt([]byte(token), 0, []*fernet.Key{key}); text != nil {
			return bridge.NewSecret(string(text)), k.id, nil
		}
	}
	return bridge.Secret{}, "", errVault(missing)
}

// splitSealed splits a stored value into key ID and token. The ID is empty in rows of older versions.
func splitSealed(stored string) (id, token string) {
	if len(stored) > keyIDLength && stored[keyIDLength:keyIDLength+1] == keyIDEnd {
		return stored[:keyIDLength], stored[keyIDLength+1:]
	}
	return "", stored
}

// sealedRow is a row with a ciphertext, or, in [sealedColumns], a column of such rows.
type sealedRow struct {
	table, column, key string // key is the column that identifies the row
	org, server, kind  string // of the row's identity: SQL for organization and server, and the prefix of the row's ID
	what               string // for messages, singular
	id, token          string
	identity           RowIdentity
}

// sealedColumns are all columns with ciphertexts.
var sealedColumns = []sealedRow{
	{table: "connections", column: "secret", key: "id", org: "org_id", server: "server_url", what: "connection"},
	{table: "connections", column: "rotate_key", key: "id", org: "org_id", server: "server_url", kind: "rotation:", what: "rotation"},
	{table: "revocations", column: "token", key: "id", org: "org_id", server: "server_url", what: "revocation"},
	{table: "providers", column: "client_secret", key: "id", org: "org_id", server: "''", kind: "provider:", what: "sign-in provider"},
	{table: "outbox", column: "body", key: "id", org: "''", server: "''", kind: "mail:", what: "mail"},
	{table: "totp", column: "secret", key: "user_id", org: "''", server: "''", kind: "totp:", what: "second factor"},
}

// RotateEncryptionKey re-encrypts every row with the first key. Each row is one conditional UPDATE, so it can be interrupted and
// run again, and the cloud may be running. Rows that no key opens do not stop it; the error at the end counts them and names the
// keys that they need. progress is called after each row.
func (kp *Keeper) RotateEncryptionKey(ctx context.Context, progress func(done, total int)) (changed int, err error) {
	var rows []sealedRow
	for _, q := range sealedColumns {
		some, err := kp.sealedRows(ctx, q, "", "")
		if err != nil {
			return 0, err
		}
		rows = append(rows, some...)
	}
	var unreadable keyNeeds
	first := kp.vault.keys[0].id
	for i, row := range rows {
		id, _ := splitSealed(row.token)
		secret, _, err := kp.vault.OpenWith(row.identity, row.token)
		if err != nil {
			unreadable.add(id, row.what, 1)
		} else if id != first {
			token, err := kp.vault.Seal(row.identity, secret)
			if err != nil {
				return changed, err
			}
			done, err := row.replace(ctx, kp.db, token)
			if err != nil {
				return changed, fmt.Errorf("rotate a row: %w", err)
			}
			if done {
				changed++
			}
		}
		progress(i+1, len(rows))
	}
	if len(unreadable) == 0 {
		return changed, nil
	}
	facts, err := kp.encryptionKeys(ctx)
	if err != nil {
		return changed, err
	}
	return changed, bridge.E(bridge.Conflict, bridge.CodeRowsUnreadable, "%d of %d rows could not be re-encrypted. %s",
		unreadable.total(), len(rows),
		unreadable.words(kp.vault, facts)).
		WithHint("add the key that encrypted them to ACE_DATABASE_ENCRYPTION_KEY, and run it again")
}

// replace stores another token in a row. It returns false if the row has changed since it was read.
func (s sealedRow) replace(ctx context.Context, db schema.Queryer, token string) (bool, error) {
	return sqldb.Changed(db.ExecContext(ctx, "UPDATE "+s.table+" SET "+s.column+" = $1 WHERE "+s.key+" = $2 AND "+s.column+" = $3", //nolint:gosec // names from above
		token, s.id, s.token))
}

// sealedRows reads the rows of a column that have a ciphertext, by ID. of and end add SQL to the conditions and to the end.
func (kp *Keeper) sealedRows(ctx context.Context, q sealedRow, of, end string, args ...any) ([]sealedRow, error) {
	rows, err := kp.db.QueryContext(ctx, "SELECT "+q.key+", "+q.org+", "+q.server+", "+q.column+ //nolint:gosec // names from above
		" FROM "+q.table+" WHERE "+q.column+" <> ''"+of+" ORDER BY "+q.key+end, args...)
	out, err := sqldb.Collect(rows, err, func(row sqldb.Row) (sealedRow, error) {
		sealed := q
		err := row.Scan(&sealed.id, &sealed.identity.Org, &sealed.identity.Server, &sealed.token)
		sealed.identity.Connection = sealed.kind + sealed.id
		return sealed, err
	})
	return out, sqldb.Wrap("read the "+q.table, err)
}
