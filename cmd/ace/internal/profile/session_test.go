package profile

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Many commands at once find a session that is over: one of them refreshes, and a refresh token is never used twice.
func TestRefreshOnce(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	for _, name := range []string{"ACE_ENV", "ACE_PROFILE", "ACE_KEY", "ACE_TOKEN", "ACE_API_KEY_ID"} {
		t.Setenv(name, "")
	}
	var refreshes atomic.Int32
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if n := refreshes.Add(1); r.FormValue("refresh_token") != fmt.Sprintf("refresh-%d", n) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"fresh","token_type":"Bearer","expires_in":900,"refresh_token":"refresh-2"}`)
	}))
	defer cloud.Close()
	st, err := OpenStore()
	if err != nil {
		t.Fatal(err)
	}
	url := bridge.ServerURL(cloud.URL)
	old := Session{Method: MethodDevice, AccessToken: bridge.NewSecret("old").Disclose(),
		RefreshToken: bridge.NewSecret("refresh-1").Disclose(), ExpiresAt: time.Now()}
	if _, err := newProfiles().Keep(t.Context(), st, Selection{Name: "default", Cloud: url}, old, api.Me{}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			l, err := newProfiles().Login(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if l.Bearer.Reveal() != "fresh" {
				t.Errorf("the session token is %q", l.Bearer.Reveal())
			}
		})
	}
	all.Wait()
	if n := refreshes.Load(); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

func newProfiles() *Profiles { return &Profiles{Term: term.New(os.Stdin, os.Stdout, os.Stderr)} }
