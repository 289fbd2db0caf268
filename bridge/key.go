package bridge

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"regexp"
	"unsafe"

	"github.com/google/uuid"
)

// KeyKind says what an API key is for.
type KeyKind string

// Kinds of API key.
const (
	KindLive KeyKind = "live" // created by a person, for production
	KindTest KeyKind = "test" // created by a person, for a sandbox
	KindSK   KeyKind = "sk"   // a connection's key, issued by an exchange
	KindPAT  KeyKind = "pat"  // a personal access token
)

// Valid reports whether k is one of the four kinds.
func (k KeyKind) Valid() bool { return k == KindLive || k == KindTest || k == KindSK || k == KindPAT }

const (
	keyIDDigits     = 22
	keySecretDigits = 43
	keySumDigits    = 6
	keyTailDigits   = keyIDDigits + keySecretDigits + keySumDigits // 71
	maxKeyLen       = len("ace_live_") + keyTailDigits
	minKeyLen       = len("ace_sk_") + keyTailDigits
)

// KeyPattern is the expression that secret scanners use to find API keys.
//
// A match still has to pass [ParseKey].
var KeyPattern = regexp.MustCompile(`\bace_(live|test|sk|pat)_[0-9A-Za-z]{71}\b`)

// Key is a parsed API key: ace_<kind>_<id22><secret43><crc6>. Its ID is public, the rest is a [Secret].
type Key struct {
	Kind KeyKind
	ID   uuid.UUID
	text Secret
}

// NewKey makes a key with the given ID and a new random 256-bit secret.
func NewKey(kind KeyKind, id uuid.UUID) Key {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails since Go 1.24
	return KeyFrom(kind, id, secret)
}

// KeyFrom makes the key that has these 256 bits as its secret.
func KeyFrom(kind KeyKind, id uuid.UUID, secret [32]byte) Key {
	text := make([]byte, 0, maxKeyLen)
	text = append(text, "ace_"...)
	text = append(text, kind...)
	text = append(text, '_')
	text = appendBase62(text, id[:], keyIDDigits)
	text = appendBase62(text, secret[:], keySecretDigits)
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(text))
	text = appendBase62(text, sum[:], keySumDigits)
	return Key{Kind: kind, ID: id, text: NewSecret(string(text))}
}

var errKeyFormat = E(Unauthenticated, CodeKeyMalformed,
	"the API key is not of the form ace_<kind>_ followed by 71 letters and digits, or a character of it was mistyped").
	WithHint("copy the whole key again, or create one: ace api-key create")

// ParseKey parses a key and checks its form and checksum, which catches typing mistakes.
//
// It does not allocate, and does not know whether the key was ever issued.
func ParseKey(text Secret) (Key, error) {
	s := text.Reveal()
	if len(s) < minKeyLen || len(s) > maxKeyLen || s[:4] != "ace_" {
		return Key{}, errKeyFormat
	}
	tail := len(s) - keyTailDigits
	kind := KeyKind(s[4 : tail-1])
	if s[tail-1] != '_' || !kind.Valid() {
		return Key{}, errKeyFormat
	}
	hi, lo, ok := decodeBase62Into128(s[tail : tail+keyIDDigits])
	if !ok || !isBase62(s[tail+keyIDDigits:]) {
		return Key{}, errKeyFormat
	}
	_, sum, ok := decodeBase62Into128(s[len(s)-keySumDigits:])
	if !ok || sum != uint64(checksum(s[:len(s)-keySumDigits])) {
		return Key{}, errKeyFormat
	}
	k := Key{Kind: kind, text: text}
	binary.BigEndian.PutUint64(k.ID[:8], hi)
	binary.BigEndian.PutUint64(k.ID[8:], lo)
	return k, nil
}

// LookUpKey returns what a key table needs to find and recognise a key.
//
// That is the end of its ID and the hash of its secret. It checks only length and punctuation: use it for text that has passed
// [ParseKey] before.
func LookUpKey(text Secret) (tail KeyIDTail, hash [sha256.Size]byte, ok bool) {
	s := text.Reveal()
	id := len(s) - keyTailDigits
	if len(s) < minKeyLen || len(s) > maxKeyLen || s[:4] != "ace_" || s[id-1] != '_' {
		return tail, hash, false
	}
	secret := id + keyIDDigits
	copy(tail[:], s[secret-len(tail):])
	return tail, hashSecret(s[secret : secret+keySecretDigits]), true
}

// KeyIDTail is the last 8 digits of a key ID, as spelled within a key.
type KeyIDTail [8]byte

// TailOfKeyID returns the last digits of an ID as spelled within a key.
func TailOfKeyID(id uuid.UUID) (tail KeyIDTail) {
	const base = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62
	n := bits.Rem64(binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), base)
	for i := len(tail) - 1; i >= 0; i-- {
		tail[i] = base62Digits[n%62]
		n /= 62
	}
	return tail
}

// checksum is the CRC-32 (IEEE) of s, read in place: []byte(s) would allocate, and the bytes are not modified.
func checksum(s string) uint32 {
	return crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Text returns the whole key, including its secret.
func (k Key) Text() Secret { return k.text }

// Prefix returns the public beginning of the key, enough to recognise it: its kind and the first 8 digits of its ID.
func (k Key) Prefix() string {
	s := k.text.Reveal()
	return s[:len(s)-keyTailDigits+8]
}

func (k Key) secretDigits() string {
	s := k.text.Reveal()
	return s[len(s)-keySumDigits-keySecretDigits : len(s)-keySumDigits]
}

// Hash returns what is stored of the secret: SHA-256 over its 43 digits.
//
// The secret has 256 bits of entropy, so a slow hash would add no protection.
func (k Key) Hash() [sha256.Size]byte { return hashSecret(k.secretDigits()) }

func hashSecret(digits string) [sha256.Size]byte {
	var buf [keySecretDigits]byte
	copy(buf[:], digits)
	return sha256.Sum256(buf[:])
}

// PrivateKey derives the Ed25519 key that signs statements on behalf of the API key.
//
// The statements are access tokens, withdrawals and revocations. The derivation is HKDF-SHA256 (RFC 5869). The public half is
// stored next to the hash and verifies them.
func (k Key) PrivateKey() ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, []byte(k.secretDigits()), k.ID[:], "ace access token v1", ed25519.SeedSize)
	if err != nil {
		panic(err) // only for a length that HKDF cannot produce
	}
	return ed25519.NewKeyFromSeed(seed)
}

// PublicKey returns the public half of [Key.PrivateKey].
func (k Key) PublicKey() ed25519.PublicKey {
	return k.PrivateKey().Public().(ed25519.PublicKey)
}
