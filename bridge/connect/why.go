package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// A connect can fail for reasons on three sides: this machine, the cloud and the server. The functions below turn each
// reason into one sentence that names the side and one that says what to do.

// refused is for a set-up of the server that does not allow the connect: exit code 1, since logging in again would not help.
func refused(code bridge.Code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Conflict, code, format, args...)
}

// clockTolerance is how far apart two clocks may be before a refused token is blamed on them.
const clockTolerance = 30 * time.Second

// Discover asks the server for its metadata and checks that it knows the URL the caller typed.
//
// The error has the code [bridge.CodeServerURLUnknown] if it does not, and [bridge.CodeNotAce] if it is not an ace server.
func (f *Flow) Discover(ctx context.Context) error {
	before := time.Now()
	found, err := f.server.Discovery(ctx)
	if err != nil {
		return err
	}
	after := time.Now()
	f.found = found
	middle := before.Add(after.Sub(before) / 2)
	f.clock = clock{server: found.Time, apart: found.Time.Sub(middle).Round(time.Second)}
	known := found.PublicURLs
	if len(known) == 0 {
		known = []bridge.ServerURL{found.PublicURL}
	}
	if !slices.ContainsFunc(known, f.url.Same) {
		var names []string
		for _, u := range known[:min(len(known), 5)] {
			names = append(names, bridge.Printable(string(u)))
		}
		return refused(bridge.CodeServerURLUnknown, "the server at %s does not know itself by that URL; it is %s",
			f.url, strings.Join(names, " or ")).
			WithHint("ace connect --server %s, or add %s to ACE_PUBLIC_URL on the server", names[0], f.url)
	}
	return nil
}

// CheckTrust checks that the server trusts the caller's cloud and organization.
//
// It uses the answer of [Flow.Discover] and sends nothing itself.
func (f *Flow) CheckTrust(me api.Me) error {
	exchange := f.found.Exchange
	switch {
	case !exchange.Configured:
		return f.noSecret()
	case exchange.Issuer != "" && !exchange.Issuer.Same(f.issuer):
		return refused(bridge.CodeServerOtherCloud, "the server at %s trusts another cloud: %s, and you are logged in to %s",
			f.url, bridge.Printable(string(exchange.Issuer)), f.issuer).
			WithHint("log in there (ace login --env %s), or give the server what `ace org trust` prints", bridge.Printable(string(exchange.Issuer)))
	case exchange.Org != "" && exchange.Org != me.Org:
		return refused(bridge.CodeServerOtherOrg, "the server at %s belongs to the organization %q, and you are in %q",
			f.url, bridge.Printable(exchange.Org), me.Org).
			WithHint("log in as a member of %s, or give the server what `ace org trust` prints for %s", bridge.Printable(exchange.Org), me.Org)
	}
	return nil
}

// noSecret refuses a server that was never told which cloud to trust.
func (f *Flow) noSecret() error {
	return refused(bridge.CodeServerNoCloudSecret, "the server at %s has no cloud secret, so it cannot check who you are", f.url).
		WithHint("set ACE_CLOUD_PUBLIC_KEY on the server to what `ace org trust` prints and restart it; " +
			"or connect with a key made on it: ace connect --api-key -")
}

// otherSecret refuses a server that trusts another key than the one this cloud signs with.
func (f *Flow) otherSecret(err error) error {
	return refused(bridge.CodeServerOtherSecret, "the server at %s has a cloud secret that is not this cloud's: %s", f.url,
		shown(err).Detail).
		WithHint("set ACE_CLOUD_PUBLIC_KEY (or ACE_CLOUD_JWT_SECRET) on the server to what `ace org trust` prints, and restart it")
}

// explainNarrowing translates the cloud's refusal to issue a connect token.
func (f *Flow) explainNarrowing(err error) error {
	if bridge.CodeOf(err) == bridge.CodeInvalidTarget {
		return f.otherSecret(err)
	}
	return err
}

// explainExchange translates the server's refusal of a connect token.
func (f *Flow) explainExchange(err error) error {
	e := bridge.AsError(err)
	switch e.Code {
	case bridge.CodeExchangeNotConfigured:
		return f.noSecret()
	case bridge.CodeConnectKeyUnknown, bridge.CodeConnectSignature, bridge.CodeConnectAlgorithm:
		return f.otherSecret(err)
	case bridge.CodeConnectClock, bridge.CodeConnectExpired:
		return f.clockOff(e)
	}
	if e.Kind == bridge.Unauthenticated {
		return refused(e.Code, "the server at %s refuses: %s", f.url, e.Detail).WithHint("%s", e.Hint)
	}
	return err
}

// clockOff says whose clock is wrong, as far as this machine can tell: it compares the server's clock with its own.
func (f *Flow) clockOff(e *bridge.Error) error {
	told := fmt.Sprintf("it says %s", f.clock.server.UTC().Format("2006-01-02 15:04:05 MST"))
	switch apart := f.clock.apart; {
	case apart < -clockTolerance:
		told += fmt.Sprintf(", %s behind this machine", -apart)
	case apart > clockTolerance:
		told += fmt.Sprintf(", %s ahead of this machine", apart)
	case e.Code == bridge.CodeConnectExpired && !f.connectToken.IsZero():
		return refused(e.Code, "the connect token has expired").WithHint("get another one, or leave --token out")
	default:
		told += ", like this machine, so the cloud's clock is wrong"
	}
	return refused(e.Code, "the clocks of the server at %s and of the cloud are out of step: the server refuses the token (%s); %s",
		f.url, e.Detail, told).
		WithHint("set the server's clock, for example with NTP (timedatectl set-ntp true), and connect again")
}

// explainKey translates the server's refusal of a key that was entered by hand.
func (f *Flow) explainKey(err error) error {
	e := bridge.AsError(err)
	if e.Kind != bridge.Unauthenticated {
		return err
	}
	return refused(e.Code, "the server at %s does not accept that key: %s", f.url, e.Detail).
		WithHint("make one on the server: ace api-key create --server %s", f.url)
}

// shown turns any error into one that has a code and a detail fit for display.
func shown(err error) *bridge.Error {
	if e, ok := errors.AsType[*bridge.Error](err); ok {
		return e
	}
	return &bridge.Error{Kind: bridge.Internal, Code: bridge.CodeFailed, Detail: err.Error(), Err: err}
}
