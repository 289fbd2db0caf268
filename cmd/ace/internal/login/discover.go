package login

import (
	"context"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// discover asks a cloud for its endpoints (RFC 8414). If something else answers, the error says what it is.
func (g *Group) discover(ctx context.Context, cloud bridge.ServerURL) (*apiclient.Cloud, api.Metadata, error) {
	client := apiclient.NewCloud(cloud, bridge.Secret{}, g.Profiles.ClientConfig())
	m, err := client.Metadata(ctx)
	if err == nil {
		return client.At(m), m, nil
	}
	e := bridge.AsError(err)
	switch {
	case ctx.Err() != nil:
		return nil, m, ctx.Err()
	case e.Kind == bridge.Unreachable && cloud == bridge.DefaultCloudURL: // most likely no cloud was named yet
		return nil, m, e.WithHint("name your cloud: ace login --env HOST; or try one out: ace dev")
	case passing(e), e.Code == bridge.CodeRedirected, e.Code == bridge.CodeIssuerMismatch, e.Code == bridge.CodeMetadataMalformed:
		return nil, m, err
	}
	if d, serverErr := apiclient.NewServer(cloud, bridge.Secret{}, g.Profiles.ClientConfig()).Discovery(ctx); serverErr == nil {
		hint := "log in to a cloud: ace login --env HOST"
		if iss := bridge.Printable(string(d.Exchange.Issuer)); iss != "" {
			hint = "it trusts the cloud " + iss + "; if you do too: ace login --env " + iss
		}
		return nil, m, bridge.E(bridge.Invalid, bridge.CodeNotACloud, "%s is an ace server, not a cloud", cloud).WithHint("%s", hint)
	}
	return nil, m, bridge.E(bridge.Invalid, bridge.CodeNotACloud, "there is no ace cloud at %s: %s", cloud, e.Detail).
		WithHint("--env takes the address of the dashboard")
}
