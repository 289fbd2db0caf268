package run

import (
	"context"
	"slices"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/server"
)

const (
	devJoinLife  = 10 * time.Minute
	devPatience  = 30 * time.Second // for the server to join
	devLookEvery = 100 * time.Millisecond
)

// joining has the server join the cloud of `ace dev`, as one behind NAT does.
func (d *dev) joining(ctx context.Context) (server.Tunnel, error) {
	created, err := d.cloud.Registry().Joins.CreateTokenAsOperator(ctx, devOrg, audit.Actor{ID: "operator"},
		api.JoinTokenRequest{Name: "ace dev --nat", ExpiresIn: int64(devJoinLife / time.Second), Share: true})
	return server.Tunnel{Required: true, JoinNow: true, Token: created.Token.Secret, Name: "behind-nat"}, err
}

// printJoinedDev prints how to use cloud and server once the server's connection is online.
func (runner *Runner) printJoinedDev(ctx context.Context, r devResult) error {
	cloud := apiclient.NewCloud(r.CloudURL, r.Admin.Token.Secret, api.ClientConfig{UserAgent: "ace/" + runner.Version})
	waiting, cancel := context.WithTimeout(ctx, devPatience)
	defer cancel()
	last := "it is not there"
	for {
		connections, err := cloud.Connections(waiting)
		if i := slices.IndexFunc(connections, func(c api.Connection) bool { return c.ServerURL == r.ServerURL }); err == nil && i >= 0 {
			if connections[i].Status == statusOnline {
				r.Connection = connections[i].ID
				return runner.printDev(r)
			}
			last = connections[i].Status + " " + connections[i].Cause
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it is being stopped
			}
			return bridge.E(bridge.Unreachable, bridge.CodeConnectionOffline, "the server's connection is not online: %s", last).
				WithHint("ACE_LOG_LEVEL=debug ace dev --nat")
		case <-time.After(devLookEvery):
		}
	}
}

const statusOnline = "online"
