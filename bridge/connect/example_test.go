package connect_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/connect"
	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/e2e/world"
)

// The cloud, the server and the key of the example; [TestExample] sets them.
var (
	cloudURL, serverURL bridge.ServerURL
	secret              bridge.Secret
)

// Example logs a program in to the cloud with an API key and connects a server.
func Example() {
	ctx := context.Background()
	cloud := apiclient.NewCloud(cloudURL, secret, api.ClientConfig{UserAgent: "my-installer/1.0"})
	connection, err := connect.New(connect.Config{
		Cloud:  cloud,
		Server: serverURL,
		Name:   "production",
		Note:   func(line string) { fmt.Println("note:", line) },
	}).Run(ctx)
	if err != nil {
		e := bridge.AsError(err)
		fmt.Printf("%s: %s (fix: %s)\n", e.Code, e.Detail, e.Hint)
		return
	}
	fmt.Println(connection.Name, "is", connection.Status)
}

// TestExample runs the example against a cloud and a server.
func TestExample(t *testing.T) {
	w := world.New(t, sqldbtest.SQLite(t), sqldbtest.SQLite(t), nil)
	cloudURL, serverURL, secret = w.CloudURL, w.URL, bridge.NewSecret(w.CloudKey(bridge.KindPAT))
	Example()
	connections, err := w.Admin.Connections(t.Context())
	if err != nil || len(connections) != 1 || connections[0].Name != "production" || connections[0].Status != "online" {
		t.Errorf("%+v (%v)", connections, err)
	}
}
