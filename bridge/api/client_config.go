package api

import (
	"net/http"
	"time"

	"github.com/acebridge/ace/bridge"
)

// ClientConfig configures a client; the zero value will do.
type ClientConfig struct {
	UserAgent string            // "ace/<version>"; empty: "ace"
	Transport http.RoundTripper // nil: http.DefaultTransport
	Timeout   time.Duration     // of one call, body included; zero: 15 s
	MaxAnswer int64             // bytes of a response body; zero: 8 MiB
	// Refused, if set, can add to a refusal what only this side knows: where the credential came from, for example.
	Refused func(*bridge.Error) *bridge.Error
}
