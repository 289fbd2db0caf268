package login

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
)

// answers is a cloud that gives its answers to the polls of a device login, one after the other.
type answers []struct {
	status int
	body   string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := (*a)[0]
	*a = (*a)[1:]
	if next.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: next.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewBufferString(next.body))}, nil
}

func TestPollDevice(t *testing.T) {
	const pending, token = `{"error":"authorization_pending"}`, `{"access_token":"t","expires_in":900}`
	tests := []struct {
		name    string
		answers answers
		code    bridge.Code   // of the error
		took    time.Duration // 5 s a poll
	}{
		{"at once", answers{{200, token}}, "", 5 * time.Second},
		{"pending", answers{{400, pending}, {200, token}}, "", 10 * time.Second},
		{"a cloud that stumbles", answers{{502, "<html>"}, {0, ""}, {503, ""}, {200, token}}, "", 20 * time.Second},
		{"slow down", answers{{400, `{"error":"slow_down"}`}, {200, token}}, "", 15 * time.Second},
		{"denied", answers{{400, `{"error":"access_denied"}`}}, "access_denied", 5 * time.Second},
		{"over", answers{{400, `{"error":"expired_token"}`}}, "expired_token", 5 * time.Second},
		{"nobody decides", answers{{400, pending}, {400, pending}, {400, pending}, {400, pending}, {400, pending}}, "expired_token", 25 * time.Second},
		{"another mistake", answers{{400, `{"error":"invalid_client"}`}}, "invalid_client", 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				cloud := apiclient.NewCloud("https://cloud.example", bridge.Secret{}, api.ClientConfig{Transport: &tt.answers})
				_, err := pollDevice(context.Background(), cloud, bridge.NewSecret("code"), 5*time.Second, start.Add(30*time.Second))
				if got := bridge.CodeOf(err); got != tt.code {
					t.Errorf("the error is %q (%v), want %q", got, err, tt.code)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
			})
		})
	}
}
