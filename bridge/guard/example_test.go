package guard_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/guard"
)

// Example protects an app's handlers, using a server elsewhere and an API key of that server with the scope key:read.
func Example() {
	remote, err := guard.NewRemote(guard.RemoteConfig{
		Server: "https://ace.company.com",
		Key:    bridge.NewSecret(os.Getenv("APP_ACE_KEY")),
	})
	if err != nil {
		log.Fatal(err)
	}
	g := guard.New(guard.Config{Verifier: remote})
	ctx := context.Background() // in a real app: the context of its main function
	go func() { _ = remote.Run(ctx) }()
	go func() { _ = g.Run(ctx) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		id, _ := guard.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "Hello, %s of %s\n", id.Subject, id.Org)
	})
	srv := &http.Server{Addr: "127.0.0.1:8080", Handler: g.Wrap(mux)} //nolint:gosec // a real app should set timeouts
	log.Fatal(srv.ListenAndServe())
}
