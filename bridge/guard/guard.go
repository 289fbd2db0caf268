package guard

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
)

// Call is a request as a [Verifier] sees it: its credential, its sender and what it asks for.
type Call struct {
	Presented bridge.Presented
	Use       bridge.Use
	Request   catalogue.Request
}

// Verifier decides who sent a call and whether it may pass. Its methods may be called from any goroutine.
type Verifier interface {
	// Admit verifies the credential and decides by the catalogue's rules. It counts the use if the key has a budget of
	// uses. If the credential was valid but the rules refuse, it returns the identity together with the error.
	Admit(ctx context.Context, c Call) (bridge.Identity, error)
	// Alive reports whether the credential behind an identity is still valid. It is called for every open request, four
	// times a second, and must not block.
	Alive(id bridge.Identity) bool
}

// Config configures a [Guard]. Only Verifier is required.
type Config struct {
	// Verifier decides about each request; required.
	Verifier Verifier
	// TrustedProxies are the networks whose X-Forwarded-For and X-Request-Id are believed. None: the peer is the client.
	TrustedProxies []netip.Prefix
	// MaxBody bounds, in bytes, a body that a rule has to read; zero means 1 MiB. Other bodies are streamed untouched.
	MaxBody int64
	// OnRefusal, if set, is called for each refusal with its exact cause, for a log. id is zero if nobody was identified.
	OnRefusal func(r *http.Request, id bridge.Identity, err error)
}

const defaultMaxBody = 1 << 20

// Guard lets through the requests that its verifier admits.
//
// [Guard.Run] must run as long as requests are served, or none of them is cut when its key dies.
type Guard struct {
	cfg  Config
	open *Requests[bridge.Identity]
}

// New returns a guard that is ready to use.
func New(cfg Config) *Guard {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	return &Guard{cfg: cfg, open: &Requests[bridge.Identity]{}}
}

// Run cuts open requests whose key has died, within 250 ms.
//
// That includes streams and WebSockets. It returns nil when ctx ends.
func (g *Guard) Run(ctx context.Context) error {
	g.open.sweep(ctx, g.cfg.Verifier.Alive)
	return nil
}

// FromContext returns the identity that the guard verified for a request; ok is false outside of [Guard.Wrap].
func FromContext(ctx context.Context) (bridge.Identity, bool) { return Admitted[bridge.Identity](ctx) }

// Wrap returns a handler that passes only admitted requests to next.
//
// It refuses the others with an application/problem+json body (RFC 9457), status 401 or 403, and WWW-Authenticate as in RFC
// 6750 section 3. next sees the identity in X-Ace-* headers; the credential and any X-Ace-* header of the client are removed,
// and so are X-Forwarded-* and the like unless the peer is a trusted proxy.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestID := api.TakeRequestID(r, g.cfg.TrustedProxies)
		w.Header().Set(api.HeaderRequestID, requestID)
		entered, id, err := g.Enter(w, r, api.ClientAddress(r, g.cfg.TrustedProxies))
		if err != nil {
			if g.cfg.OnRefusal != nil {
				g.cfg.OnRefusal(r, id, err)
			}
			api.BoundDrain(w, r)
			api.WriteProblem(w, err)
			return
		}
		defer entered.Leave()
		StripInbound(entered.Request.Header)
		if !api.FromTrusted(r, g.cfg.TrustedProxies) {
			StripForwarded(entered.Request.Header)
		}
		stripTrailer(entered.Request)
		id.SetHeaders(entered.Request.Header, requestID)
		next.ServeHTTP(entered.Writer, entered.Request)
	})
}

// Enter verifies a request and decides about it, without passing it on.
//
// client is the client's address. On success the caller serves the returned request and then calls [Entered.Leave]. Enter
// strips no headers; a caller that forwards the request must ([StripInbound], [StripForwarded]).
func (g *Guard) Enter(w http.ResponseWriter, r *http.Request, client string) (Entered[bridge.Identity], bridge.Identity, error) {
	if err := CheckRequest(r); err != nil {
		return Entered[bridge.Identity]{}, bridge.Identity{}, err
	}
	presented, err := Presented(r.Header)
	if err != nil {
		return Entered[bridge.Identity]{}, bridge.Identity{}, err
	}
	id, err := g.cfg.Verifier.Admit(r.Context(), Call{
		Presented: presented, Use: bridge.Use{Address: client, UserAgent: r.UserAgent()},
		Request: forRules(w, r, g.cfg.MaxBody),
	})
	if err != nil {
		return Entered[bridge.Identity]{}, id, err
	}
	WarnOfExpiry(w.Header(), id, time.Now())
	return g.open.Enter(w, r, id), id, nil
}

// Presented returns the credential of a request.
//
// It fails with [bridge.CodeCredentialMissing] if there is none, and with the error of [bridge.Credential] if there are two.
func Presented(h http.Header) (bridge.Presented, error) {
	presented, err := bridge.Credential(h)
	if err == nil && presented.Value.IsZero() {
		err = bridge.E(bridge.Unauthenticated, bridge.CodeCredentialMissing, "the request carries no credential").
			WithHint("send an API key as X-API-Key, or as Authorization: Bearer")
	}
	return presented, err
}

// WarnOfExpiry sets the header X-Ace-Key-Expires when a key is about to expire.
//
// The value is an RFC 3339 time in UTC. How early it warns is up to the server (Identity.WarnFrom).
func WarnOfExpiry(h http.Header, id bridge.Identity, now time.Time) {
	if !id.WarnFrom.IsZero() && !now.Before(id.WarnFrom) {
		h.Set(bridge.HeaderKeyExpires, id.ExpiresAt.UTC().Format(time.RFC3339))
	}
}
