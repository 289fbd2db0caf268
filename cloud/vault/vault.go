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
// derived by HKDF-SHA256 from a Fernet key and the row's identity. The first key encrypts, all decrypt. The ID of the key stands before
// each token, as in ab12cd34.gAAAAA…; rows of older versions lack it until [Keeper.CheckKeys] has found it out.
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

// keyID is the ID of an encryption key; it does not help to find the key.
func keyID(k *fernet.Key) string {
	raw, err := hkdf.Key(sha256.New, k[:], nil, "ace encryption key id v1", keyIDLength/2)
	if err != nil {
		panic(err) // only for a length that HKDF cannot make
	}
	return hex.EncodeToString(raw)
}

// KeyIDs lists the IDs of the keys, in their order.
func (v *Vault) KeyIDs() []string {
	var out []string
	for _, k := range v.keys {
		out = append(out, k.id)
	}
	return out
}

// NewVault reads ACE_DATABASE_ENCRYPTION_KEY: one or more Fernet keys, separated by commas.
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

// bridge.CodeRowUnreadable is the code of a stored secret that no key opens.
// errVault is deliberately one error for every reason; a missing key's ID is for the log alone.
func errVault(missing string) error {
	e := bridge.E(bridge.Internal, bridge.CodeRowUnreadable, "the stored credential cannot be decrypted").
		WithHint("is the key that encrypted it still in ACE_DATABASE_ENCRYPTION_KEY?")
	if missing != "" {
		return e.Because(fmt.Errorf("the encryption key with the ID %s is not in ACE_DATABASE_ENCRYPTION_KEY", missing))
	}
	return e
}

// Open decrypts a row's secret. Tokens do not age (ttl 0); one that is not in canonical base64 is refused, which
// fernet-go would read.
func (v *Vault) Open(row RowIdentity, stored string) (bridge.Secret, error) {
	secret, _, err := v.OpenWith(row, stored)
	return secret, err
}

// OpenWith decrypts a token, and returns the ID of the key that encrypted it.
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

// splitSealed splits a stored value into key ID (empty in rows of older versions) and token.
func splitSealed(stored string) (id, token string) {
	if len(stored) > keyIDLength && stored[keyIDLength:keyIDLength+1] == keyIDEnd {
		return stored[:keyIDLength], stored[keyIDLength+1:]
	}
	return "", stored
}

// sealedRow is a row with a ciphertext: where it is, and whose.
type sealedRow struct {
	table, column, key string // key: the column that names the row
	org, server, kind  string // SQL for the organization and the server, and what stands before the row's ID, of its identity
	what               string // as people call it
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

// RotateEncryptionKey encrypts every row anew with the first key. It goes row by row, each in one conditional UPDATE,
// so that it can be interrupted and run again, beside a running cloud. A row that no key opens does not stop the others;
// the error at the end says how many there are, and which keys they need. progress is told after each row.
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
	return changed, bridge.E(bridge.Conflict, bridge.CodeRowsUnreadable, "%d of %d rows could not be encrypted anew. %s",
		unreadable.total(), len(rows),
		unreadable.words(kp.vault, facts)).
		WithHint("add the key that encrypted them to ACE_DATABASE_ENCRYPTION_KEY, and run it again")
}

// replace stores another token in a row, unless the row has changed since it was read.
func (s sealedRow) replace(ctx context.Context, db schema.Queryer, token string) (bool, error) {
	return sqldb.Changed(db.ExecContext(ctx, "UPDATE "+s.table+" SET "+s.column+" = $1 WHERE "+s.key+" = $2 AND "+s.column+" = $3", //nolint:gosec // names from above
		token, s.id, s.token))
}

// sealedRows reads the rows of a column that have a ciphertext, by ID; of adds conditions in SQL.
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
