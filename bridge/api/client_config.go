package api

import (
	"net/http"
	"time"

	"github.com/acebridge/ace/bridge"
)

// ClientConfig is how a client calls; the zero value will do.
type ClientConfig struct {
	UserAgent string            // "ace/<version>"
	Transport http.RoundTripper // nil: http.DefaultTransport
	Timeout   time.Duration     // of one call, body included; zero: 15 s
	MaxAnswer int64             // bytes of an answer's body; zero: 8 MiB
	// Refused, where set, may say more of a refusal than the other side can know: where the credential came from, for example.
	Refused func(*bridge.Error) *bridge.Error
}
