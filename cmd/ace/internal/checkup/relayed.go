package checkup

import (
	"cmp"
	"context"
	"fmt"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// relayed are the checks of the way through the cloud. The cloud probes the server once, and each check tells its part of it.
func (v *visit) relayed() []doctor.Check {
	return []doctor.Check{
		{Name: "link", Title: "relay: link", Do: v.checkLink},
		{Name: "probe", Title: "relay: probe", Needs: []string{"link"}, Do: v.checkProbe},
		{Name: "app", Title: "relay: app", Needs: []string{"probe"}, Do: v.checkApp},
		{Name: "relay", Title: "relay: call", Needs: []string{"app"}, Do: v.checkRelay},
	}
}

// checkLink has the cloud probe the server, and looks at the link that it went over.
func (v *visit) checkLink(ctx context.Context) (string, error) {
	err := v.requireConnection()
	if err == nil {
		v.probed, err = v.cloud.Check(ctx, v.connection.ID)
	}
	c := v.probed
	switch {
	case err != nil:
		return "", err
	case c.CauseCode == bridge.CodeNoLink, c.CauseCode == bridge.CodeLinkSilent:
		return "", v.fault(bridge.Unreachable, c.CauseCode, "on the server: ace server doctor")
	case c.Way != api.WayTunnel:
		return "none: the cloud calls the server's address", nil
	case c.Link == nil:
		return "open", nil
	}
	trip := ""
	if c.Link.RoundTrip != nil {
		trip = fmt.Sprintf(", round trip %d ms", *c.Link.RoundTrip)
	}
	return fmt.Sprintf("%s of %s%s", term.Count(c.Link.Links, "link"), term.Count(c.Link.Servers, "server"), trip), nil
}

// fault is what the cloud found, as an error.
func (v *visit) fault(kind bridge.Kind, code bridge.Code, fix string) error {
	return bridge.E(kind, code, "%s", cmp.Or(v.probed.Cause, "the cloud says no more")).WithHint("%s", cmp.Or(v.probed.Hint, fix))
}

func (v *visit) checkProbe(context.Context) (string, error) {
	c := v.probed
	switch {
	case c.CauseCode == bridge.CodeAppDown:
		return "the server answers", nil // see checkApp
	case c.Status == "offline":
		return "", v.fault(bridge.Unreachable, bridge.CodeConnectionOffline, "check that the server is running and that the cloud can reach it")
	case c.Status == "unauthorized":
		return "", v.fault(bridge.Forbidden, bridge.CodeConnectionUnauthorized, bridge.ConnectAgain(c.ServerURL))
	case c.Status == "unknown":
		return "", doctor.Skip("%s", cmp.Or(c.Cause, "the cloud cannot reach the server's network"))
	}
	trip := ""
	if c.LatencyMS != nil {
		trip = fmt.Sprintf(", in %d ms", *c.LatencyMS)
	}
	return "the cloud finds the server online" + trip, nil
}

func (v *visit) checkApp(context.Context) (string, error) {
	if v.probed.CauseCode == bridge.CodeAppDown {
		return "", v.fault(bridge.Unreachable, bridge.CodeAppDown, "start the app behind the server; on the server: ace server doctor")
	}
	return "the server reports nothing wrong with it", nil
}

// checkRelay makes one call through the relay, as yourself.
func (v *visit) checkRelay(ctx context.Context) (string, error) {
	through, err := bridge.CanonicalURL(v.login.Cloud.Join("/v1/connections/" + v.connection.ID + "/relay"))
	if err != nil {
		return "", err
	}
	me, err := apiclient.NewServer(through, v.login.Bearer, v.Profiles.ClientConfig()).Me(ctx)
	if err != nil {
		return "", err
	}
	return "the server answers through the relay, as " + me.Subject, nil
}
