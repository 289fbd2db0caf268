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

// Call is a request with what is decided about.
type Call struct {
	Presented bridge.Presented
	Use       bridge.Use
	Request   catalogue.Request
}

// Verifier says who a call comes from and whether it may pass.
type Verifier interface {
	// Admit verifies the credential, decides by the catalogue's rules, and counts the use where the key asks for that. An
	// identity comes with a refusal where the credential was valid.
	Admit(ctx context.Context, c Call) (bridge.Identity, error)
	// Alive reports whether what an identity was verified by is still valid. It is asked often, for all that is open.
	Alive(id bridge.Identity) bool
}

// Config is how a guard guards. Only Verifier is required.
type Config struct {
	Verifier Verifier
	// TrustedProxies are the networks whose X-Forwarded-For counts; none: the peer's address is the client's.
	TrustedProxies []netip.Prefix
	// MaxBody bounds the body that a rule looks into; zero: 1 MiB. Other bodies are not touched.
	MaxBody int64
	// OnRefusal, where set, is told of each refusal with its exact cause, for a log.
	OnRefusal func(r *http.Request, id bridge.Identity, err error)
}

const defaultMaxBody = 1 << 20

// Guard lets requests pass that its verifier admits. [Guard.Run] has to run beside it, or nothing that is open is cut.
type Guard struct {
	cfg  Config
	open *Requests[bridge.Identity]
}

// New returns a guard.
func New(cfg Config) *Guard {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	return &Guard{cfg: cfg, open: &Requests[bridge.Identity]{}}
}

// Run cuts what is open when its key dies: requests under way, streams and WebSockets, within 250 ms. It returns when ctx
// ends.
func (g *Guard) Run(ctx context.Context) error {
	g.open.sweep(ctx, g.cfg.Verifier.Alive)
	return nil
}

// FromContext returns the identity that a guard has verified.
func FromContext(ctx context.Context) (bridge.Identity, bool) { return Admitted[bridge.Identity](ctx) }

// Wrap lets only admitted requests reach a handler. A refusal is answered as application/problem+json (RFC 9457) with
// status 401 or 403 and WWW-Authenticate as RFC 6750 section 3 says.
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

// Enter verifies a request and decides about it. It strips nothing: who hands the request on does.
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
		Request: catalogue.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header,
			Length: r.ContentLength, Body: bodyOf(w, r, g.cfg.MaxBody), Watch: watchOf(r)},
	})
	if err != nil {
		return Entered[bridge.Identity]{}, id, err
	}
	WarnOfExpiry(w.Header(), id, time.Now())
	return g.open.Enter(w, r, id), id, nil
}

// Presented takes the credential of a request, which must have one.
func Presented(h http.Header) (bridge.Presented, error) {
	presented, err := bridge.Credential(h)
	if err == nil && presented.Value.IsZero() {
		err = bridge.E(bridge.Unauthenticated, bridge.CodeCredentialMissing, "the request carries no credential").
			WithHint("send an API key as X-API-Key, or as Authorization: Bearer")
	}
	return presented, err
}

// WarnOfExpiry tells the holder of a key that it will expire soon.
func WarnOfExpiry(h http.Header, id bridge.Identity, now time.Time) {
	if !id.WarnFrom.IsZero() && !now.Before(id.WarnFrom) {
		h.Set(bridge.HeaderKeyExpires, id.ExpiresAt.UTC().Format(time.RFC3339))
	}
}
