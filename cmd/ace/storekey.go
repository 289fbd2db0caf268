package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/acebridge/ace/bridge"
)

// Where the key of auth.json can be, best first.
const (
	keyInKeyring = "keyring"
	keyInEnv     = "env"
	keyInFile    = "machine"
)

const (
	authKeyVariable = "ACE_AUTH_KEY"
	minAuthKey      = 16
	keyringService  = "ace"
	keyringTimeout  = 3 * time.Second // a silent D-Bus would hang for ever
)

func keyPlace(place string) string {
	switch place {
	case keyInKeyring:
		return "the system's keyring"
	case keyInEnv:
		return authKeyVariable
	}
	return "machine.key"
}

// existingKey fetches the key that auth.json was written with.
func (s *store) existingKey(ctx context.Context, place string) ([]byte, error) {
	lost := bridge.E(bridge.Unauthenticated, "store_key_missing", "the key of the stored sessions is in %s, which does not give it",
		keyPlace(place)).WithHint("ace login --force")
	switch place {
	case keyInKeyring:
		key, err := s.fromKeyring(ctx)
		if err != nil {
			return nil, lost.Because(err)
		}
		return key, nil
	case keyInEnv:
		key, ok, err := keyFromEnv()
		if err != nil || !ok {
			return nil, lost.Because(err)
		}
		return key, nil
	}
	text, err := readSmallFile(s.path("machine.key"))
	key, decodeErr := decodeKey(text)
	if err != nil || decodeErr != nil {
		return nil, lost.Because(errors.Join(err, decodeErr))
	}
	return key, nil
}

// writingKey is the key to write auth.json with. A place that works is kept: asking the keyring again and again could
// make every command wait.
func (s *store) writingKey(ctx context.Context, place string) ([]byte, string, error) {
	if place != "" {
		if key, err := s.existingKey(ctx, place); err == nil {
			return key, place, nil
		}
	}
	if key, err := s.fromKeyring(ctx); err == nil {
		return key, keyInKeyring, nil
	} else if errors.Is(err, keyring.ErrNotFound) {
		key := newStoreKey()
		if s.toKeyring(ctx, key) == nil {
			return key, keyInKeyring, nil
		}
	}
	if key, ok, err := keyFromEnv(); err != nil || ok {
		return key, keyInEnv, err
	}
	kept, err := keptSecret(s.dir, "machine.key", func() (bridge.Secret, error) {
		return bridge.NewSecret(base64.StdEncoding.EncodeToString(newStoreKey())), nil
	})
	if err != nil {
		return nil, "", err
	}
	key, err := decodeKey(kept.Reveal())
	return key, keyInFile, err
}

func newStoreKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(key) != 32 {
		err = errors.New("not 32 bytes")
	}
	return key, err
}

func keyFromEnv() ([]byte, bool, error) {
	value, ok := os.LookupEnv(authKeyVariable)
	if !ok {
		return nil, false, nil
	}
	if len(value) < minAuthKey {
		return nil, false, usage("%s is shorter than %d bytes", authKeyVariable, minAuthKey)
	}
	key, err := hkdf.Key(sha256.New, []byte(value), nil, "ace auth.json v1", 32)
	return key, true, err
}

var errNoKeyring = errors.New("this session has no keyring")

// bounded gives the keyring a few seconds: its calls take no context.
func bounded[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var none T
	if runtime.GOOS == "linux" && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		return none, errNoKeyring // the library would start a bus of its own
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := call()
		answers <- answer{value, err}
	}()
	wait, cancel := context.WithTimeout(ctx, keyringTimeout)
	defer cancel()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-wait.Done():
		return none, wait.Err()
	}
}

func (s *store) fromKeyring(ctx context.Context) ([]byte, error) {
	text, err := bounded(ctx, func() (string, error) { return keyring.Get(keyringService, s.dir) })
	if err != nil {
		return nil, err
	}
	return decodeKey(text)
}

func (s *store) toKeyring(ctx context.Context, key []byte) error {
	_, err := bounded(ctx, func() (struct{}, error) {
		return struct{}{}, keyring.Set(keyringService, s.dir, base64.StdEncoding.EncodeToString(key))
	})
	return err
}
