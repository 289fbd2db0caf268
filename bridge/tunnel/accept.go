package tunnel

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

// AcceptorConfig says who may open links. All fields are required.
type AcceptorConfig struct {
	// Cloud is the cloud's public URL, which a server's key signs.
	Cloud      bridge.ServerURL
	Challenges *Challenges
	// Lookup returns the connection that an API key belongs to, and the public keys that may open its links: none if there is
	// no such connection, two while one replaces another.
	Lookup func(ctx context.Context, keyID string) (connection string, keys []ed25519.PublicKey, err error)
	// Links takes the links that are opened.
	Links *Links
}

// Acceptor opens links at the cloud. Its methods are safe for concurrent use.
type Acceptor struct{ cfg AcceptorConfig }

// NewAcceptor returns an acceptor.
func NewAcceptor(cfg AcceptorConfig) *Acceptor { return &Acceptor{cfg} }

// Accept answers a server that asks for a link. It returns as soon as the link is open, or with the reason for the refusal.
//
// The caller writes the error; the challenge is in the headers already.
func (a *Acceptor) Accept(w http.ResponseWriter, r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), Protocol) {
		return a.challenge(w)
	}
	connection, err := a.Verify(w, r, Open, nil)
	if err != nil {
		return err
	}
	return a.open(w, connection)
}

// Verify returns the connection whose link's key has signed a request with this body for a purpose.
//
// A request without a signature, or with one of an old challenge, is refused with a new challenge in the headers.
func (a *Acceptor) Verify(w http.ResponseWriter, r *http.Request, purpose Purpose, body []byte) (connection string, err error) {
	p, err := parseProof(r.Header.Get("Authorization"))
	if err != nil || !a.cfg.Challenges.fresh(p.challenge) {
		return "", a.challenge(w)
	}
	connection, keys, err := a.cfg.Lookup(r.Context(), p.keyID)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, p.signed(a.cfg.Cloud, purpose, body), p.signature) {
			return connection, nil
		}
	}
	return "", bridge.E(bridge.Forbidden, bridge.CodeLinkRefused, "no connection takes links with this key").
		WithHint("run `ace server join` with a new join token")
}

func (a *Acceptor) challenge(w http.ResponseWriter) error {
	w.Header().Set("WWW-Authenticate", scheme+` challenge="`+a.cfg.Challenges.issue()+`"`)
	return bridge.E(bridge.Unauthenticated, bridge.CodeLinkWanted, "only servers open links here")
}

// open switches to HTTP/2 and gives the link to those of the connection.
func (a *Acceptor) open(w http.ResponseWriter, connection string) error {
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("take over a connection for a link: %w", err)
	}
	_ = raw.SetDeadline(time.Now().Add(stuckAfter))
	_, err = fmt.Fprintf(raw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Protocol)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil //nolint:nilerr // the server is gone, and nobody is left to answer
	}
	conn := newLinkConn(raw, buffered.Reader)
	link := &Link{connection: connection, opened: time.Now(), done: conn.ended}
	if link.client, err = newClient(conn); err != nil {
		_ = conn.Close()
		return nil //nolint:nilerr // as above
	}
	a.cfg.Links.add(link)
	return nil
}

// newClient returns the cloud's end of HTTP/2 on a connection that a server has dialed.
func newClient(conn net.Conn) (*http.ClientConn, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // TLS, where there is any, is below
	transport := &http.Transport{Protocols: protocols, HTTP2: flow(), MaxResponseHeaderBytes: headerBytes, DisableCompression: true,
		ExpectContinueTimeout: continueAfter, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	return transport.NewClientConn(context.Background(), "http", Protocol+":80")
}
