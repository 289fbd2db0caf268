package profile

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
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

	// The time that the keyring may take in all. A silent D-Bus would hang for ever; a person may have to unlock the keyring.
	keyringTimeout  = 3 * time.Second
	keyringPatience = 30 * time.Second
)

// KeyPlace names where the key of auth.json is kept.
func KeyPlace(place string) string {
	switch place {
	case keyInKeyring:
		return "the system's keyring"
	case keyInEnv:
		return authKeyVariable
	}
	return "machine.key"
}

// existingKey fetches the key that auth.json was written with.
func (s *Store) existingKey(ctx context.Context, place string) ([]byte, error) {
	lost := bridge.E(bridge.Unauthenticated, bridge.CodeStoreKeyMissing,
		"the stored sessions are encrypted with a key in %s, and it cannot be read",
		KeyPlace(place)).WithHint("ace login --force")
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
	text, err := files.ReadSmallFile(s.path("machine.key"))
	key, decodeErr := decodeKey(text)
	if err != nil || decodeErr != nil {
		return nil, lost.Because(errors.Join(err, decodeErr))
	}
	return key, nil
}

// writingKey returns the key to write auth.json with. A place that works is kept: asking the keyring again and again could make
// every command wait.
func (s *Store) writingKey(ctx context.Context, place string) ([]byte, string, error) {
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
	kept, err := files.KeptSecret(s.dir, "machine.key", func() (bridge.Secret, error) {
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
	if _, ok := os.LookupEnv(authKeyVariable); !ok {
		return nil, false, nil
	}
	value, err := OutsideVariable(authKeyVariable)
	if err != nil {
		return nil, false, err
	}
	if len(value) < minAuthKey {
		return nil, false, term.Usage("%s is shorter than %d bytes", authKeyVariable, minAuthKey)
	}
	key, err := hkdf.Key(sha256.New, []byte(value), nil, "ace auth.json v1", 32)
	return key, true, err
}

var (
	errNoKeyring     = errors.New("this session has no keyring")
	errKeyringSilent = errors.New("the system's keyring does not answer")
)

// ring is the system's keyring, as one command uses it. Its calls take no context and can hang, so they share a time limit;
// once it is used up, the keyring is not asked again.
type ring struct {
	limit time.Duration
	say   func(format string, args ...any) // nil: nobody is told

	mu    sync.Mutex
	spent time.Duration
	key   []byte // as it was found
}

// ask makes one call to the keyring, within the remaining time. On a terminal, where the limit is long, the person is told what
// the command waits for.
func (r *ring) ask(ctx context.Context, call func() (string, error)) (string, error) {
	left := r.limit - r.spent
	if left <= 0 {
		return "", errKeyringSilent
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	start := time.Now()
	go func() {
		text, err := call()
		answers <- answer{text, err}
	}()
	if left > keyringTimeout {
		waiting := time.AfterFunc(keyringTimeout, func() { r.tell("Waiting for the system's keyring …") })
		defer waiting.Stop()
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	select {
	case a := <-answers:
		r.spent += time.Since(start)
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	case <-wait.C:
		r.spent = r.limit
		r.tell("The system's keyring does not answer; continuing without it.")
		return "", errKeyringSilent
	}
}

func (r *ring) tell(format string, args ...any) {
	if r.say != nil {
		r.say(format, args...)
	}
}

func noKeyring() bool {
	return runtime.GOOS == "linux" && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" // the library would start a bus of its own
}

func (s *Store) fromKeyring(ctx context.Context) ([]byte, error) {
	if noKeyring() {
		return nil, errNoKeyring
	}
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	if s.ring.key != nil {
		return s.ring.key, nil
	}
	text, err := s.ring.ask(ctx, func() (string, error) { return keyring.Get(keyringService, s.dir) })
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(text)
	if err == nil {
		s.ring.key = key
	}
	return key, err
}

func (s *Store) toKeyring(ctx context.Context, key []byte) error {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	_, err := s.ring.ask(ctx, func() (string, error) {
		return "", keyring.Set(keyringService, s.dir, base64.StdEncoding.EncodeToString(key))
	})
	if err == nil {
		s.ring.key = key
	}
	return err
}
