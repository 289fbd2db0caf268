package doctor

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// Tolerance is how far apart two clocks may be: fresh tokens are refused beyond it.
const Tolerance = 30 * time.Second

// maxKeys bounds the document with a cloud's public keys.
const maxKeys = 64 << 10

// clock is how far another clock is from this machine's.
type clock struct {
	known bool
	apart time.Duration // positive: the other one is ahead
	doubt time.Duration // the measurement may be wrong by so much
}

// Cloud checks the way to a cloud, that it is one, and its clock. Its checks are those of the path, NAME and NAME_clock.
type Cloud struct {
	Path  *Path  // required
	Agent string // the User-Agent; empty: "ace"

	meta  api.Metadata
	clock clock
}

// Checks are those of the way and of the cloud, in order.
func (c *Cloud) Checks() []Check {
	name := c.Path.Name
	return append(c.Path.Checks(),
		Check{Name: name, Title: name, Needs: []string{c.Path.Last()}, Do: c.check},
		Check{Name: name + "_clock", Title: name + ": clock", Needs: []string{name}, Do: c.checkClock})
}

func (c *Cloud) check(ctx context.Context) (string, error) {
	timed := &timed{next: c.Path.Transport(), now: c.Path.now}
	client := apiclient.NewCloud(c.Path.URL, bridge.Secret{}, api.ClientConfig{Transport: timed, UserAgent: c.Agent, Timeout: Limit})
	var err error
	if c.meta, err = client.Metadata(ctx); err == nil {
		c.clock = timed.clock()
		return fmt.Sprintf("%s is an ace cloud", c.Path.URL), nil
	}
	e := bridge.AsError(err)
	switch {
	case timed.status == http.StatusProxyAuthRequired && c.Path.proxy != nil:
		return "", c.Path.refusedByProxy(timed.status)
	case timed.status >= http.StatusInternalServerError && e.Code.OfStatus():
		return "", bridge.E(bridge.Unreachable, bridge.CodeCloudUnreachable, "%s answers with status %d", c.Path.URL, timed.status).
			WithHint("try again; if it stays so, tell the cloud's operator")
	case timed.status >= http.StatusInternalServerError, e.Kind == bridge.Unreachable, e.Code == bridge.CodeIssuerMismatch, e.Code == bridge.CodeMetadataMalformed, e.Code == bridge.CodeRedirected:
		return "", e
	}
	return "", bridge.E(bridge.Invalid, bridge.CodeNotACloud, "what answers at %s is not an ace cloud (status %d)", c.Path.URL, timed.status).
		WithHint("check the address; the cloud's own one is on its dashboard, and in what `ace org trust` prints")
}

func (c *Cloud) checkClock(context.Context) (string, error) {
	if !c.clock.known {
		return "", Skip("the cloud does not say what time it is")
	}
	return judge("this machine", "the cloud", -c.clock.apart, c.clock.doubt)
}

// CheckTrust returns a check that the keys a server trusts are this cloud's.
func (c *Cloud) CheckTrust(name, title string, trust bridge.Trust) Check {
	return Check{Name: name, Title: title, Needs: []string{c.Path.Name}, Do: func(ctx context.Context) (string, error) {
		theirs, err := c.keys(ctx)
		if err != nil {
			return "", err
		}
		return compare(c.Path.URL, trust, theirs)
	}}
}

// compare holds the keys that a server trusts against those that its cloud publishes.
func compare(cloud bridge.ServerURL, trust bridge.Trust, theirs map[string]ed25519.PublicKey) (string, error) {
	ours := trust.PublicKeys()
	if len(ours) == 0 {
		return fmt.Sprintf("organization %s of %s; a shared secret cannot be compared from here", trust.Org, cloud), nil
	}
	matches := slices.DeleteFunc(trust.KeyIDs(), func(kid string) bool { return ours[kid] == nil || !ours[kid].Equal(theirs[kid]) })
	if len(matches) == 0 {
		return "", bridge.E(bridge.Conflict, bridge.CodeServerOtherSecret, "none of the keys that the server trusts is one of %s's", cloud).
			WithHint("give the server what this prints: ace org trust")
	}
	return fmt.Sprintf("organization %s of %s, key %s", trust.Org, cloud, matches[0]), nil
}

// keys fetches the cloud's public keys (RFC 7517) by `kid`.
func (c *Cloud) keys(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	bad := func(why string) error {
		return bridge.E(bridge.Invalid, bridge.CodeNotACloud, "%s publishes no keys: %s", c.Path.URL, why).WithHint("check the address of the cloud")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.meta.JWKSURI, nil)
	if err != nil {
		return nil, bad("their address is malformed")
	}
	resp, err := (&http.Client{Transport: c.Path.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		return nil, bridge.E(bridge.Unreachable, bridge.CodeCloudUnreachable, "the cloud's keys cannot be fetched: %s", apiclient.WhyUnreachable(err)).
			WithHint("try again")
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys))
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X string }
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(raw, &set) != nil {
		return nil, bad(fmt.Sprintf("the answer has status %d and is not a list of keys", resp.StatusCode))
	}
	out := map[string]ed25519.PublicKey{}
	for _, k := range set.Keys {
		if x, err := base64.RawURLEncoding.DecodeString(k.X); err == nil && k.Kty == "OKP" && k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			out[k.Kid] = x
		}
	}
	return out, nil
}

// judge compares two clocks. ahead is how far the first one is ahead, and may be wrong by doubt.
func judge(whose, of string, ahead, doubt time.Duration) (string, error) {
	if ahead.Abs() <= Tolerance+doubt {
		return fmt.Sprintf("within %s of %s's", Tolerance, of), nil
	}
	way := "behind"
	if ahead > 0 {
		way = "ahead of"
	}
	return "", bridge.E(bridge.Invalid, bridge.CodeClockSkewed, "%s's clock is %s %s %s's", whose, ahead.Abs().Round(time.Second), way, of).
		WithHint("on %s: timedatectl set-ntp true", whose)
}

// timed is a transport that reads the other side's clock from the Date of its answer.
type timed struct {
	next http.RoundTripper
	now  func() time.Time

	mu     sync.Mutex
	status int
	read   clock
}

// RoundTrip implements [http.RoundTripper].
func (t *timed) RoundTrip(r *http.Request) (*http.Response, error) {
	before := t.now()
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status = resp.StatusCode
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && resp.Header.Get("Age") == "" {
		took := t.now().Sub(before)
		t.read = clock{true, date.Sub(before.Add(took / 2)), took/2 + time.Second} // Date has whole seconds
	}
	return resp, nil
}

func (t *timed) clock() clock {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read
}
