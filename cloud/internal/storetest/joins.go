package storetest

import (
	"crypto/ed25519"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
)

// Joiner is a server that joins, played by a test.
type Joiner struct {
	ID   string
	URL  bridge.ServerURL
	Key  bridge.Key         // that it has issued last
	Link ed25519.PrivateKey // of its links

	Former   []ed25519.PrivateKey // of its links before
	Replaces string               // the key that its last one replaces, as the cloud has said
	f        *Fixture
}

// NewJoiner returns a server that has no URL of its own.
func (f *Fixture) NewJoiner() *Joiner {
	f.T.Helper()
	_, link, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.T.Fatal(err)
	}
	id := uuid.NewString()
	return &Joiner{ID: id, URL: bridge.LinkURL(id), Link: link, f: f}
}

// Public is the public key of the server's links.
func (s *Joiner) Public() ed25519.PublicKey { return s.Link.Public().(ed25519.PublicKey) }

// Seal issues a key for the connect token of an answer, which it verifies with what the join token pins, and seals it.
func (s *Joiner) Seal(token bridge.Secret, answer api.JoinAnswer) string {
	f := s.f
	f.T.Helper()
	parsed, err := bridge.ParseJoinToken(token)
	if err != nil {
		f.T.Fatal(err)
	}
	trust, err := bridge.ParseTrust(bridge.TrustSettings{PublicKey: parsed.PublicKey()})
	if err != nil {
		f.T.Fatal(err)
	}
	claims, err := trust.VerifyConnect(answer.ConnectToken.Secret, []bridge.ServerURL{s.URL}, f.Clock())
	if err != nil {
		f.T.Fatal(err)
	}
	s.Replaces, s.Key = claims.Replaces, bridge.NewKey(bridge.KindSK, uuid.New())
	sealed, err := bridge.Seal(claims.Sealing, claims.Binding(), s.Key)
	if err != nil {
		f.T.Fatal(err)
	}
	return sealed
}

// JoinToken makes a join token, as p.
func (f *Fixture) JoinToken(p accounts.Principal, req api.JoinTokenRequest) api.CreatedJoinToken {
	f.T.Helper()
	t, err := f.Joins.CreateToken(f.T.Context(), p.As(p.Actor("", "")), req)
	if err != nil {
		f.T.Fatal(err)
	}
	return t
}

// Begin has the server begin to join.
func (s *Joiner) Begin(token bridge.Secret) (api.JoinAnswer, error) {
	f := s.f
	return f.Joins.Begin(f.T.Context(), token, api.JoinRequest{ServerID: s.ID, ServerURL: string(s.URL), Proofs: s.proofs(token, "", "")}, audit.Actor{})
}

// Complete has the server complete a join with a sealed key.
func (s *Joiner) Complete(token bridge.Secret, sealed string) (api.Connection, error) {
	f := s.f
	keyID, link := s.Key.ID.String(), bridge.LinkKeyText(s.Public())
	return f.Joins.Complete(f.T.Context(), token, api.JoinComplete{ServerID: s.ID, ServerURL: string(s.URL), SealedKey: sealed, KeyID: keyID,
		LinkKey: link, Proofs: s.proofs(token, link, keyID)}, audit.Actor{})
}

// proofs are what a server signs with the key of its links, and with those that it had before.
func (s *Joiner) proofs(token bridge.Secret, link, keyID string) (out []string) {
	parsed, err := bridge.ParseJoinToken(token)
	if err != nil {
		return nil
	}
	p := bridge.JoinProof{Cloud: parsed.Cloud(), Token: parsed.Hash(), Server: s.ID, LinkKey: link, KeyID: keyID}
	for _, key := range append([]ed25519.PrivateKey{s.Link}, s.Former...) {
		out = append(out, p.Sign(key))
	}
	return out
}

// Join has the server join.
func (s *Joiner) Join(token bridge.Secret) api.Connection {
	s.f.T.Helper()
	answer, err := s.Begin(token)
	if err != nil {
		s.f.T.Fatal(err)
	}
	c, err := s.Complete(token, s.Seal(token, answer))
	if err != nil {
		s.f.T.Fatal(err)
	}
	return c
}
