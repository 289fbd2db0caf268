package profile

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/files"
)

// Store is ~/.ace: the profiles and their sessions. Profiles are in config.json, without secrets; sessions are in auth.json,
// encrypted. It is read without a lock, because files are only ever replaced whole, and changed under one.
type Store struct {
	dir  string
	ring *ring
}

// Config is config.json.
type Config struct {
	Active   string              `json:"active"`
	Profiles map[string]*Profile `json:"profiles"`
}

// Profile is one cloud as one person or one API key. It holds what may be known without the key of auth.json.
type Profile struct {
	CloudURL    bridge.ServerURL `json:"cloud_url"`
	Email       string           `json:"email,omitempty"`
	Org         string           `json:"org,omitempty"`
	Role        string           `json:"role,omitempty"`
	Method      string           `json:"method,omitempty"` // empty: logged out
	ExpiresAt   time.Time        `json:"expires_at,omitzero"`
	Scopes      []string         `json:"scopes,omitempty"`
	KeyID       string           `json:"key_id,omitempty"`
	ServiceName string           `json:"service_name,omitempty"`
}

// Session is the secret half of a profile. A profile has one: a new login replaces it.
type Session struct {
	Method           string           `json:"method"`
	AccessToken      bridge.Disclosed `json:"access_token"`
	ExpiresAt        time.Time        `json:"expires_at"`
	RefreshToken     bridge.Disclosed `json:"refresh_token,omitzero"`
	RefreshExpiresAt time.Time        `json:"refresh_expires_at,omitzero"`
	// Endpoints of the cloud, as they were discovered at the login; empty: where an ace cloud has them.
	TokenEndpoint      string `json:"token_endpoint,omitempty"`
	RevocationEndpoint string `json:"revocation_endpoint,omitempty"`
	KeyID              string `json:"key_id,omitempty"`       // of an API key
	ServiceName        string `json:"service_name,omitempty"` // the service that uses the key
}

// How a session began.
const (
	MethodDevice         = "device"
	MethodCode           = "authorization_code"
	MethodPassword       = "password"
	MethodDeveloperToken = "developer_token"
	MethodAPIKey         = "api_key"
	MethodPAT            = "pat"
)

// IsKey reports whether the session is an API key. To the cloud that is no session.
func (s Session) IsKey() bool { return s.Method == MethodAPIKey || s.Method == MethodPAT }

// Good reports whether the session's credential can be used now. A session that can be renewed is, a little before its end.
func (s Session) Good() bool {
	switch left := time.Until(s.ExpiresAt); {
	case s.ExpiresAt.IsZero():
		return true
	case s.RefreshToken.IsZero():
		return left > 0
	default:
		return left > refreshEarly
	}
}

// sealedStore is auth.json: sessions under AES-256-GCM. The key is kept elsewhere if the system has a place for it.
type sealedStore struct {
	Version int    `json:"v"`
	Key     string `json:"key"` // where the key is: keyring, env or machine
	Nonce   []byte `json:"nonce"`
	Data    []byte `json:"data"`
}

// lockWait is how long a command waits for the lock. A hundred commands that start at once on a slow machine, one at a time,
// fit in it.
const lockWait = 90 * time.Second

// OpenStore returns this person's store, ~/.ace.
func OpenStore() (*Store, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("find the home directory: %w", err)
	}
	return &Store{dir: filepath.Join(home, ".ace"), ring: &ring{limit: keyringTimeout}}, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// makeDir makes ~/.ace, and closes it to others.
func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(s.dir, 0o700) //nolint:gosec // a directory
}

// Locked runs change while no other process of this person can.
func (s *Store) Locked(ctx context.Context, change func() error) error {
	if err := s.makeDir(); err != nil {
		return err
	}
	lock := flock.New(s.path("lock"), flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if ok, err := lock.TryLockContext(wait, 20*time.Millisecond); err != nil || !ok {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return bridge.E(bridge.Conflict, bridge.CodeStoreLocked, "another ace holds the lock %s", s.path("lock")).
			WithHint("wait for it to finish, or stop it, and try again")
	}
	defer func() { _ = lock.Unlock() }()
	return change()
}

// Config reads config.json. Without the file there are no profiles.
func (s *Store) Config() (Config, error) {
	c := Config{Profiles: map[string]*Profile{}}
	raw, err := os.ReadFile(s.path("config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil { // people edit it, with editors that add a byte-order mark or save it in another encoding
		var text string
		if text, err = bridge.OutsideText(string(raw)); err == nil {
			err = json.Unmarshal([]byte(text), &c)
		}
	}
	if err != nil {
		return c, bridge.E(bridge.Invalid, bridge.CodeStoreUnreadable, "cannot read %s: %w", s.path("config.json"), err).
			WithHint("repair it, or remove it and log in again")
	}
	if c.Profiles == nil {
		c.Profiles = map[string]*Profile{}
	}
	for name, p := range c.Profiles {
		if p == nil {
			delete(c.Profiles, name)
		}
	}
	return c, nil
}

// WriteConfig replaces config.json.
func (s *Store) WriteConfig(c Config) error {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return files.ReplaceFile(s.path("config.json"), append(raw, '\n'))
}

// Sessions reads auth.json, and says where its key is. Without the file there are no sessions.
func (s *Store) Sessions(ctx context.Context) (map[string]Session, string, error) {
	raw, err := os.ReadFile(s.path("auth.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Session{}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	unreadable := bridge.E(bridge.Unauthenticated, bridge.CodeStoreUnreadable, "cannot read %s", s.path("auth.json")).
		WithHint("ace login --force")
	var sealed sealedStore
	if err := json.Unmarshal(raw, &sealed); err != nil || sealed.Version != 1 {
		return nil, "", unreadable.Because(err)
	}
	key, err := s.existingKey(ctx, sealed.Key)
	if err != nil {
		return nil, sealed.Key, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, sealed.Key, err
	}
	if len(sealed.Nonce) != aead.NonceSize() {
		return nil, sealed.Key, unreadable
	}
	plain, err := aead.Open(nil, sealed.Nonce, sealed.Data, sealed.additional())
	if err != nil {
		e := *unreadable
		e.Detail += fmt.Sprintf(": its key, from %s, is not the one it was written with", KeyPlace(sealed.Key))
		return nil, sealed.Key, &e
	}
	out := map[string]Session{}
	if err := json.Unmarshal(plain, &out); err != nil {
		return nil, sealed.Key, unreadable.Because(err)
	}
	return out, sealed.Key, nil
}

func (s sealedStore) additional() []byte {
	return fmt.Appendf(nil, "ace auth.json v%d %s", s.Version, s.Key)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// WriteSessions encrypts and replaces auth.json. place is where its key was; empty chooses the best place. Without a session
// the file is removed, and no key is needed.
func (s *Store) WriteSessions(ctx context.Context, sessions map[string]Session, place string) error {
	if len(sessions) == 0 {
		if err := os.Remove(s.path("auth.json")); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	key, place, err := s.writingKey(ctx, place)
	if err != nil {
		return err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sessions)
	if err != nil {
		return err
	}
	sealed := sealedStore{Version: 1, Key: place, Nonce: make([]byte, aead.NonceSize())}
	_, _ = rand.Read(sealed.Nonce)
	sealed.Data = aead.Seal(nil, sealed.Nonce, plain, sealed.additional())
	raw, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	return files.ReplaceFile(s.path("auth.json"), append(raw, '\n'))
}
