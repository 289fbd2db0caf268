package servers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/links"
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/upkeep"
)

const (
	probeEvery     = 10 * time.Second
	probeMaxAge    = 30 * time.Second // a status is not much older than this
	probeBatch     = 64
	probesAtOnce   = 8
	maxProbeAnswer = 64 << 10
	linkProbeTime  = 4 * time.Second // for a probe over a link, which is asked twice
)

// ProbeStale probes connections whose status is old, a bounded number at a time.
func (sv *Servers) ProbeStale(ctx context.Context) error {
	targets, err := sv.upkeep.ProbeTargets(ctx, sv.cfg.Now().Add(-probeMaxAge), probeBatch)
	if err != nil {
		return err
	}
	return atOnce(probesAtOnce, targets, func(target upkeep.Target) error { return sv.probeAndStore(ctx, target) })
}

// Check probes a connection now, on behalf of a member, and returns it with its new status.
func (sv *Servers) Check(ctx context.Context, p accounts.Principal, id string) (api.Connection, error) {
	target, err := sv.upkeep.Target(ctx, p, id)
	if err != nil {
		return api.Connection{}, err
	}
	if err := sv.upkeep.SetStatus(ctx, target, sv.probe(ctx, target)); err != nil {
		return api.Connection{}, err
	}
	return sv.connections.Connection(ctx, p, id)
}

// probe asks a server who the connection's credential belongs to, and puts into words what stands in the way. Over a link one lost
// probe says nothing: it is asked again at once, and another link has its turn.
func (sv *Servers) probe(ctx context.Context, t upkeep.Target) upkeep.Status {
	if t.Err != nil {
		e := bridge.AsError(t.Err)
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: e.Detail, Code: e.Code, Hint: e.Hint}
	}
	if !sv.links.Linked(ctx, t.ID) {
		s, err := sv.probeOnce(ctx, t)
		switch {
		case sv.links.Linked(ctx, t.ID): // by now: what was found without the link is out of date
		case err != nil:
			return unreachable(err, t.Server)
		default:
			return s
		}
	}
	for again := true; ; again = false {
		bounded, cancel := context.WithTimeout(ctx, linkProbeTime)
		s, err := sv.probeOnce(bounded, t)
		cancel()
		switch {
		case err == nil:
			s.Ping = cmp.Or(sv.links.RoundTrip(t.ID), s.Latency)
			return s
		case !again || ctx.Err() != nil:
			return overLink(err, t.Server)
		}
	}
}

// probeOnce asks a server once. An answer that breaks off is none.
func (sv *Servers) probeOnce(ctx context.Context, t upkeep.Target) (upkeep.Status, error) {
	path := "/ace/v1/me"
	if !t.Ace {
		path = "/"
	}
	asked := time.Now()
	resp, err := sv.ask(ctx, t, path)
	if err != nil {
		return upkeep.Status{}, err
	}
	took := time.Since(asked)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeAnswer))
	if err != nil {
		return upkeep.Status{}, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	s := plainStatus(resp, t.Server)
	if t.Ace {
		s = aceStatus(resp, body, t.Server)
	}
	s.Latency = took
	return s, nil
}

// statusOf is the status of a response, with the standard text instead of the server's.
func statusOf(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
}

// ask fetches a path from a connection's server, with the connection's credential.
func (sv *Servers) ask(ctx context.Context, t upkeep.Target, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Server.Join(path), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(t.Credential.Header, t.Credential.Value.Reveal())
	req.Header.Set("User-Agent", "ace-cloud/"+sv.cfg.Version)
	return sv.client(t.ID, t.Server).Do(req)
}

// aceStatus judges an ace server's response to a probe, and its body.
func aceStatus(resp *http.Response, raw []byte, server bridge.ServerURL) upkeep.Status {
	reconnect := bridge.ConnectAgain(server)
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: "API key is invalid or expired",
			Code: bridge.CodeKeyRefused, Hint: reconnect}
	case resp.StatusCode == http.StatusOK:
		var id api.Identity
		if bridge.DecodeStrict(raw, &id) == nil && id.Type != "" {
			last, restored := api.ChangeNumbers(resp.Header)
			return appStatus(id.App, upkeep.Status{Status: connections.StatusOnline, Key: keyLife(id), Subject: cmp.Or(id.Owner, id.Subject), ActsAs: id.CanActAs,
				Numbers: upkeep.ChangeNumbers{Last: last, Restored: restored}})
		}
		return upkeep.Status{Status: connections.StatusOffline, Cause: "something answers at the URL, but it is not an ace server",
			Hint: "check the URL, and that nothing else listens there"}
	case resp.StatusCode >= 500:
		switch bridge.CodeOf(api.ReadProblem(resp)) {
		case bridge.CodeDatabaseBehind:
			return upkeep.Status{Status: connections.StatusOffline, Cause: "the server's database has lost changes, as if restored from an old backup",
				Hint: "restore the newest database there; if it is the newest there is: ace server restore --accept"}
		case bridge.CodeClockBehind:
			return upkeep.Status{Status: connections.StatusOffline, Cause: "the server's clock is behind a time that it has already seen",
				Hint: "set its clock right; if it is right now: ace server accept-clock"}
		}
		return upkeep.Status{Status: connections.StatusOffline, Cause: "the server answers with an error: " + statusOf(resp),
			Hint: "look at the server's log"}
	}
	return upkeep.Status{Status: connections.StatusOffline, Cause: "an unexpected answer: " + statusOf(resp),
		Hint: "check that the URL is that of the ace server itself, with its path if it has one"}
}

// appStatus adds to the status of a server how the app behind it is.
func appStatus(app *api.AppState, s upkeep.Status) upkeep.Status {
	if app == nil || app.State != api.AppDown {
		return s
	}
	s.Status, s.Code = connections.StatusOffline, bridge.CodeAppDown
	s.Cause = "the server answers, and the app behind it does not"
	if said := Shown(app.Cause); said != "" {
		s.Cause += ": " + said
	}
	s.Hint = "start the app, or give the server its address in ACE_UPSTREAM_URL"
	return s
}

// keyLife is what a server says about the validity of the secret behind the credential.
func keyLife(id api.Identity) (life connections.KeyLife) {
	if id.KeyIssuedAt != nil {
		life.Issued = *id.KeyIssuedAt
	}
	if id.KeyExpiresAt != nil {
		life.Expires = *id.KeyExpiresAt
	}
	return life
}

// plainStatus judges the response to a probe of a server that is not an ace server.
func plainStatus(resp *http.Response, server bridge.ServerURL) upkeep.Status {
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: "the server does not accept the API key", Code: bridge.CodeKeyRefused,
			Hint: "create a new key there, and add it: ace connect --server " + string(server) + " --api-key -"}
	case resp.StatusCode >= 500:
		return upkeep.Status{Status: connections.StatusOffline, Cause: "the server answers with an error: " + statusOf(resp),
			Hint: "look at the server's log"}
	}
	return upkeep.Status{Status: connections.StatusOnline}
}

// unreachable puts a network error into words that reveal nothing about the cloud's own network.
func unreachable(err error, server bridge.ServerURL) upkeep.Status {
	offline := func(cause, hint string) upkeep.Status {
		return upkeep.Status{Status: connections.StatusOffline, Cause: cause, Hint: hint}
	}
	if e, known := links.IsLinkError(err); known {
		s := offline(e.Detail, "look at `ace server` on its machine: it dials the cloud by itself, and says why it cannot")
		s.Code = e.Code
		return s
	}
	if errors.Is(err, outbound.ErrBlocked) {
		return upkeep.Status{Status: connections.StatusUnknown,
			Cause: "the server is at an address that the cloud may not call; only a browser or the CLI near it can tell",
			Hint:  "open the dashboard on a machine that reaches it, or run: ace connections check"}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return offline("the name "+server.URL().Hostname()+" is not found", "check the URL's host name, and its DNS entry")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return offline("the server's TLS certificate is not accepted", "give the server a certificate for its name, from a public authority")
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return offline("the server does not answer in time", "check that it runs and that no firewall drops its traffic")
	}
	return offline("nothing answers at the URL", "start it with `ace server`, and check the URL and port")
}

// overLink puts into words why a server has not answered over its link.
func overLink(err error, server bridge.ServerURL) upkeep.Status {
	if e, known := links.IsLinkError(err); known && e.Code != bridge.CodeLinkLost {
		return unreachable(err, server)
	}
	return upkeep.Status{Status: connections.StatusOffline, Cause: "the server has a link to the cloud, and does not answer over it",
		Code: bridge.CodeLinkSilent, Hint: "look at the server's log, and at how busy its machine is; restart it if it hangs"}
}
