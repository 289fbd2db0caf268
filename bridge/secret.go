package bridge

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unsafe"
)

// Redacted is what a [Secret] looks like when printed, logged or encoded.
const Redacted = "[redacted]"

// Secret holds a value that must not leak: a key, a token, a password.
//
// It prints, logs and encodes as "[redacted]". [Secret.Reveal] is the only way to get at the value, so every disclosure can be
// found by searching for that word.
//
// The value is behind a pointer, not in a string field, because fmt prints unexported fields of a struct without calling their
// methods: it would print a string, but an address reveals nothing. A Secret does not allocate.
type Secret struct {
	data *byte
	size int
}

// NewSecret wraps a value.
func NewSecret(value string) Secret {
	return Secret{data: unsafe.StringData(value), size: len(value)}
}

// Reveal returns the value in the clear.
func (s Secret) Reveal() string { return unsafe.String(s.data, s.size) }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.size == 0 }

// Len returns the length of the value in bytes.
func (s Secret) Len() int { return s.size }

// Equal compares two secrets in time that depends only on their lengths.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Disclose marks the secret as an intended part of a response; see [Disclosed].
func (s Secret) Disclose() Disclosed { return Disclosed{s} }

// String implements [fmt.Stringer].
func (s Secret) String() string { return Redacted }

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return Redacted }

// Format implements [fmt.Formatter], so that no verb, not even %x or %d, reaches the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText redacts the secret in JSON, YAML and every other encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// UnmarshalText reads a secret from configuration or a request body.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Disclosed is a [Secret] on its way to someone who may have it.
//
// It encodes in the clear in a response body, and still prints as "[redacted]". Do not put one into a value that is logged.
type Disclosed struct{ Secret }

// MarshalText returns the value in the clear.
func (d Disclosed) MarshalText() ([]byte, error) { return []byte(d.Reveal()), nil }
