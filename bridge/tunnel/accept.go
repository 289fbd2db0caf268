package tunnel

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/acebridge/ace/bridge"
)

// headerReplica names the replica of the cloud that answers.
const headerReplica = "Ace-Replica"

// AcceptorConfig says who may open links. All fields are required, except Replica.
type AcceptorConfig struct {
	// Cloud is the cloud's public URL, which a server's key signs.
	Cloud      bridge.ServerURL
	Challenges *Challenges
	// Lookup returns the connection that an API key belongs to, and the public keys that may open its links: none if there is
	// no such connection, two while one replaces another.
	Lookup func(ctx context.Context, keyID string) (connection string, keys []ed25519.PublicKey, err error)
	// Links takes the links that are opened.
	Links *Links
	// Replica tells this replica of the cloud from the others, so that a server links to several. Empty: it is the only one.
	Replica string
}

// Acceptor opens links at the cloud. Its methods are safe for concurrent use.
type Acceptor struct{ cfg AcceptorConfig }

// NewAcceptor returns an acceptor.
func NewAcceptor(cfg AcceptorConfig) *Acceptor { return &Acceptor{cfg} }

// Accept answers a server that asks for a link: as an upgrade to [Protocol], or to a WebSocket with that subprotocol. It returns
// as soon as the link is open, or with the reason for the refusal.
//
// The caller writes the error; the challenge is in the headers already.
func (a *Acceptor) Accept(w http.ResponseWriter, r *http.Request) error {
	upgrade := r.Header.Get("Upgrade")
	socket := strings.EqualFold(upgrade, "websocket")
	if !socket && !strings.EqualFold(upgrade, Protocol) {
		return a.challenge(w)
	}
	connection, p, err := a.verify(w, r, Open, nil)
	if err != nil {
		return err
	}
	link := &Link{connection: connection, key: p.public, instance: p.instance, slot: p.slot, alone: p.replicas == ReplicasRefuse, opened: time.Now(),
		again: make(chan struct{}, 1)}
	if err := a.cfg.Links.admit(link); err != nil {
		return err
	}
	if a.cfg.Replica != "" {
		w.Header().Set(headerReplica, a.cfg.Replica)
	}
	var conn *linkConn
	if socket {
		conn = a.socket(w, r)
	} else if conn, err = a.upgrade(w); err != nil {
		return err
	}
	if conn == nil {
		return nil
	}
	link.done = conn.ended
	if link.client, err = newClient(conn); err != nil {
		_ = conn.Close()
		return nil //nolint:nilerr // the server is gone, and nobody is left to answer
	}
	a.cfg.Links.add(link)
	return nil
}

// Verify returns the connection whose link's key has signed a request with this body for a purpose.
//
// A request without a signature, or with one of an old challenge, is refused with a new challenge in the headers.
func (a *Acceptor) Verify(w http.ResponseWriter, r *http.Request, purpose Purpose, body []byte) (connection string, err error) {
	connection, _, err = a.verify(w, r, purpose, body)
	return connection, err
}

func (a *Acceptor) verify(w http.ResponseWriter, r *http.Request, purpose Purpose, body []byte) (string, proof, error) {
	p, err := parseProof(r.Header.Get("Authorization"))
	if err != nil || !a.cfg.Challenges.fresh(p.challenge) {
		return "", p, a.challenge(w)
	}
	connection, keys, err := a.cfg.Lookup(r.Context(), p.keyID)
	if err != nil {
		return "", p, err
	}
	for _, key := range keys {
		if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, p.signed(a.cfg.Cloud, purpose, body), p.signature) {
			p.public = key
			return connection, p, nil
		}
	}
	return "", p, bridge.E(bridge.Forbidden, bridge.CodeLinkRefused, "no connection takes links with this key").
		WithHint("run `ace server join` with a new join token")
}

func (a *Acceptor) challenge(w http.ResponseWriter) error {
	if a.cfg.Replica != "" {
		w.Header().Set(headerReplica, a.cfg.Replica)
	}
	w.Header().Set("WWW-Authenticate", scheme+` challenge="`+a.cfg.Challenges.issue()+`"`)
	return bridge.E(bridge.Unauthenticated, bridge.CodeLinkWanted, "only servers open links here")
}

// upgrade switches to [Protocol]. It returns nil if the server has gone.
func (a *Acceptor) upgrade(w http.ResponseWriter) (*linkConn, error) {
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over a connection for a link: %w", err)
	}
	replica := ""
	if a.cfg.Replica != "" {
		replica = headerReplica + ": " + a.cfg.Replica + "\r\n"
	}
	_ = raw.SetDeadline(time.Now().Add(stuckAfter))
	_, err = fmt.Fprintf(raw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n", Protocol, replica)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil, nil //nolint:nilerr,nilnil // nobody is left to answer
	}
	return newLinkConn(raw, buffered.Reader), nil
}

// socket switches to a WebSocket (RFC 6455) whose binary messages carry the bytes of the link. It returns nil if it has answered
// otherwise.
func (a *Acceptor) socket(w http.ResponseWriter, r *http.Request) *linkConn {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Protocol}})
	if err != nil {
		return nil
	}
	if ws.Subprotocol() != Protocol {
		_ = ws.CloseNow()
		return nil
	}
	return newLinkConn(newSocketConn(ws, nil), nil)
}

// newClient returns the cloud's end of HTTP/2 on a connection that a server has dialed.
func newClient(conn net.Conn) (*http.ClientConn, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // TLS, where there is any, is below
	transport := &http.Transport{Protocols: protocols, HTTP2: flow(), MaxResponseHeaderBytes: headerBytes, DisableCompression: true,
		ExpectContinueTimeout: continueAfter, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	return transport.NewClientConn(context.Background(), "http", Protocol+":80")
}
