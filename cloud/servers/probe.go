package servers

import (
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
	"github.com/acebridge/ace/cloud/outbound"
	"github.com/acebridge/ace/cloud/upkeep"
)

const (
	probeEvery     = 10 * time.Second
	probeMaxAge    = 30 * time.Second // a status is not much older than this
	probeBatch     = 64
	probesAtOnce   = 8
	maxProbeAnswer = 64 << 10
)

// ProbeStale probes connections whose status is old, a bounded number at a time.
func (sv *Servers) ProbeStale(ctx context.Context) error {
	targets, err := sv.upkeep.ProbeTargets(ctx, sv.cfg.Now().Add(-probeMaxAge), probeBatch)
	if err != nil {
		return err
	}
	return atOnce(probesAtOnce, targets, func(target upkeep.Target) error {
		status := sv.probe(ctx, target)
		if ctx.Err() != nil {
			return nil // an interrupted probe says nothing
		}
		return sv.upkeep.SetStatus(ctx, target, status)
	})
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

// probe asks a server who the connection's credential belongs to, and puts into words what stands in the way.
func (sv *Servers) probe(ctx context.Context, t upkeep.Target) upkeep.Status {
	if t.Err != nil {
		e := bridge.AsError(t.Err)
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: e.Detail, Hint: e.Hint}
	}
	path := "/ace/v1/me"
	if !t.Ace {
		path = "/"
	}
	asked := time.Now()
	resp, err := sv.ask(ctx, t, path)
	if err != nil {
		return unreachable(err, t.Server)
	}
	took := time.Since(asked)
	defer func() { _ = resp.Body.Close() }()
	judge := aceStatus
	if !t.Ace {
		judge = plainStatus
	}
	s := judge(resp, t.Server)
	s.Latency = took
	return s
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

// aceStatus judges an ace server's response to a probe.
func aceStatus(resp *http.Response, server bridge.ServerURL) upkeep.Status {
	reconnect := "ace connect --server " + string(server)
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: "API key is invalid or expired", Hint: reconnect}
	case resp.StatusCode == http.StatusOK:
		var id api.Identity
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeAnswer))
		if err == nil && bridge.DecodeStrict(raw, &id) == nil && id.Type != "" {
			last, restored := api.ChangeNumbers(resp.Header)
			return upkeep.Status{Status: connections.StatusOnline, Key: keyLife(id), Subject: cmp.Or(id.Owner, id.Subject), ActsAs: id.CanActAs,
				Numbers: upkeep.ChangeNumbers{Last: last, Restored: restored}}
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
		return upkeep.Status{Status: connections.StatusUnauthorized, Cause: "the server does not accept the API key",
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
