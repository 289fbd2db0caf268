package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
)

// TestWithdrawnTokensAreCut checks that what a member has open with an access token is cut once the key signs that their
// access is withdrawn, here and at a remote guard, while another member's requests continue.
func TestWithdrawnTokensAreCut(t *testing.T) {
	f := start(t, http.HandlerFunc(endlessOr), nil)
	text, id := f.mint(`{"name":"k","preset":"full","scopes":["key:act-as"]}`)
	key, err := bridge.ParseKey(bridge.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	remote, _ := f.guarded(0, http.HandlerFunc(endlessOr))
	token := func(member string) string {
		token, err := key.SignAccess(bridge.AccessClaims{Times: bridge.NewTimes(time.Now(), bridge.MaxAccessTokenLife),
			Subject: member, Scope: "*"}.ForServer(bridge.ServerURL(f.url)))
		if err != nil {
			t.Fatal(err)
		}
		return token.Reveal()
	}
	bob, eve := token("bob"), token("eve")
	eventually(t, remote, bob, "/x", 200)
	streams := map[string]<-chan struct{}{}
	for name, address := range map[string]string{"gateway": f.host, "guard": remote} {
		for member, credential := range map[string]string{"bob": bob, "eve": eve} {
			streams[name+" "+member] = open(t, address, "GET /stream HTTP/1.1\r\nHost: "+f.host+"\r\nX-Api-Key: "+credential+"\r\n\r\n")
		}
	}
	statement, err := key.SignWithdrawal(bridge.Withdrawal{Until: map[string]int64{"bob": time.Now().Unix()}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, otherID := f.mint(`{"name":"other"}`)
	for name, c := range map[string]struct {
		id, credential string
		want           int
	}{
		"of another key": {otherID, statement.Reveal(), 401}, "a key": {id, text, 401}, "no statement": {id, other, 401}, "the statement": {id, statement.Reveal(), 200},
	} {
		if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+c.id+"/access-tokens", "", "Authorization", "Bearer "+c.credential); resp.StatusCode != c.want {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	// However often something is refused, a statement gets through.
	for range 30 {
		f.do(http.MethodPost, "/ace/v1/exchange", "{}", "Authorization", "Bearer junk", "Content-Type", "application/json")
	}
	if resp, body := f.do(http.MethodDelete, "/ace/v1/api-keys/"+id+"/access-tokens", "", "Authorization", "Bearer "+statement.Reveal()); resp.StatusCode != 200 {
		t.Errorf("after refusals: %d %s", resp.StatusCode, body)
	}
	for _, name := range []string{"gateway bob", "guard bob"} {
		select {
		case <-streams[name]:
		case <-time.After(15 * time.Second):
			t.Errorf("%s: the stream goes on", name)
		}
	}
	for _, name := range []string{"gateway eve", "guard eve"} {
		select {
		case <-streams[name]:
			t.Errorf("%s: the stream was cut", name)
		default:
		}
	}
	for _, address := range []string{f.host, remote} {
		if got := status(t, address, bob, "/x"); got != 401 {
			t.Errorf("bob gets %d", got)
		}
		if got := status(t, address, eve, "/x"); got != 200 {
			t.Errorf("eve gets %d", got)
		}
	}
}
