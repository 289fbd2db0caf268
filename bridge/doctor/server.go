package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// Server checks the way to a server, that it is one and knows its URL, its clock and whom it trusts. Its checks are those of the
// path, NAME, NAME_clock and NAME_trust.
type Server struct {
	Path  *Path  // required
	Cloud *Cloud // that the server should trust; its clock is the measure. Required
	Agent string // the User-Agent; empty: "ace"
	// Org returns the organization that the server should trust; empty: not known.
	Org func() string
	// Manual reports whether there is a connection with a key made by hand, which needs no trust; nil: there is none.
	Manual func() bool

	found api.Discovery
	clock clock
}

// Checks are those of the way and of the server, in order.
func (s *Server) Checks() []Check {
	name := s.Path.Name
	return append(s.Path.Checks(),
		Check{Name: name, Title: name, Needs: []string{s.Path.Last()}, Do: s.check},
		Check{Name: name + "_clock", Title: name + ": clock", Needs: []string{name}, Do: s.checkClock},
		Check{Name: name + "_trust", Title: name + ": trust", Needs: []string{name}, Do: s.checkTrust})
}

func (s *Server) check(ctx context.Context) (string, error) {
	timed := &timed{next: s.Path.Transport(), now: s.Path.now}
	client := apiclient.NewServer(s.Path.URL, bridge.Secret{}, api.ClientConfig{Transport: timed, UserAgent: s.Agent, Timeout: Limit})
	before := s.Path.now()
	found, err := client.Discovery(ctx)
	took := s.Path.now().Sub(before)
	if err != nil {
		if timed.status == http.StatusProxyAuthRequired && s.Path.proxy != nil {
			return "", s.Path.refusedByProxy(timed.status)
		}
		return "", err
	}
	s.found = found
	s.clock = clock{!found.Time.IsZero(), found.Time.Sub(before.Add(took / 2)), took / 2}
	known := found.PublicURLs
	if len(known) == 0 {
		known = []bridge.ServerURL{found.PublicURL}
	}
	if !slices.ContainsFunc(known, s.Path.URL.Same) {
		first := bridge.Clip(string(known[0]), longest)
		return "", bridge.E(bridge.Conflict, bridge.CodeServerURLUnknown, "the server does not know itself by %s; it is %s", s.Path.URL, first).
			WithHint("ace doctor --server %s; or add %s to ACE_PUBLIC_URL on the server", first, s.Path.URL)
	}
	return fmt.Sprintf("%s is an ace server, version %s", s.Path.URL, bridge.Clip(found.Version, longest)), nil
}

// checkClock compares the server's clock with the cloud's: the cloud signs the tokens that the server dates.
func (s *Server) checkClock(context.Context) (string, error) {
	if !s.clock.known {
		return "", Skip("the server does not say what time it is")
	}
	if cloud := s.Cloud.clock; cloud.known {
		return judge("the server", "the cloud", s.clock.apart-cloud.apart, s.clock.doubt+cloud.doubt)
	}
	return judge("the server", "this machine", s.clock.apart, s.clock.doubt)
}

func (s *Server) checkTrust(context.Context) (string, error) {
	exchange, cloud := s.found.Exchange, s.Cloud.Path.URL
	org := ""
	if s.Org != nil {
		org = s.Org()
	}
	switch {
	case !exchange.Configured && s.Manual != nil && s.Manual():
		return "none: the connection has a key that was made by hand", nil
	case !exchange.Configured:
		return "", bridge.E(bridge.Conflict, bridge.CodeServerNoCloudSecret, "the server trusts no cloud, so it cannot check who you are").
			WithHint("set ACE_CLOUD_PUBLIC_KEY on the server to what this prints, and restart it: ace org trust")
	case exchange.Issuer != "" && !exchange.Issuer.Same(cloud):
		issuer := bridge.Clip(string(exchange.Issuer), longest)
		return "", bridge.E(bridge.Conflict, bridge.CodeServerOtherCloud, "the server trusts another cloud: %s, and yours is %s", issuer, cloud).
			WithHint("ace login --env %s; or give the server what this prints: ace org trust", issuer)
	case exchange.Org != "" && org != "" && exchange.Org != org:
		return "", bridge.E(bridge.Conflict, bridge.CodeServerOtherOrg, "the server belongs to the organization %q, and you are in %q",
			bridge.Clip(exchange.Org, longest), org).
			WithHint("ace org switch %s", bridge.Clip(exchange.Org, longest))
	case org == "":
		return fmt.Sprintf("organization %s of %s", bridge.Clip(exchange.Org, longest), cloud), nil
	}
	return fmt.Sprintf("your organization %s of %s", org, cloud), nil
}
