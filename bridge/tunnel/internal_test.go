package tunnel

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acebridge/ace/bridge"
)

// silent is a connection that can go silent: it takes what is written, delivers nothing, and stays open.
type silent struct {
	net.Conn

	off chan struct{}
}

func (s *silent) Write(p []byte) (int, error) {
	select {
	case <-s.off:
		return len(p), nil
	default:
		return s.Conn.Write(p)
	}
}

// Both ends give up a link within 15 seconds after the network has gone silent without closing it.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := make(chan struct{})
		near, far := net.Pipe()
		handling := make(chan struct{})
		s := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(handling)
			<-r.Context().Done()
		}), slog.New(slog.DiscardHandler))
		go func() { _ = s.run() }()
		defer s.close()
		served := make(chan time.Time, 1)
		go func() {
			s.serve(t.Context(), &silent{far, off}, func() {})
			served <- time.Now()
		}()
		conn := newLinkConn(&silent{near, off}, nil)
		l := &Link{done: conn.ended}
		var err error
		if l.client, err = newClient(conn); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
			if err != nil {
				failed <- err
				return
			}
			resp, err := l.client.RoundTrip(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			failed <- l.why(t.Context(), err)
		}()
		<-handling
		time.Sleep(time.Minute) // a link without requests to send is kept while the other end answers
		select {
		case <-l.done:
			t.Fatal("a quiet link is given up")
		default:
		}
		close(off)
		began := time.Now()
		if err := <-failed; bridge.CodeOf(err) != bridge.CodeLinkLost {
			t.Errorf("the request: %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the cloud notices after %s", took)
		}
		if took := (<-served).Sub(began); took > 15*time.Second {
			t.Errorf("the server notices after %s", took)
		}
	})
}

// A cloud that is away is asked again after random waits that grow, but never longer than waitMost.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		var tried []time.Time
		d, err := NewDialer(DialerConfig{Cloud: "http://127.0.0.1:1", Path: "/v1/link", KeyID: "one", Key: key, Links: 1,
			Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
			Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				tried = append(tried, time.Now())
				return nil, errors.New("away")
			}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if err := d.Run(ctx, 0); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		different := map[time.Duration]bool{}
		for i := 1; i < len(tried); i++ {
			wait := tried[i].Sub(tried[i-1])
			different[wait] = true
			if wait > waitMost {
				t.Errorf("a wait of %s", wait)
			}
		}
		if len(tried) < 40 || len(different) < len(tried)/2 {
			t.Errorf("%d tries, %d different waits", len(tried), len(different))
		}
		if state := d.States()[0]; state.Up || bridge.CodeOf(state.Cause) != bridge.CodeCloudUnreachable {
			t.Errorf("%+v", state)
		}
	})
}

// A proof is read only as it is written.
func FuzzProof(f *testing.F) {
	whole := proof{keyID: "c", instance: "i", slot: 3, replicas: ReplicasShare, challenge: "x", signature: make([]byte, ed25519.SignatureSize)}.header()
	for _, header := range []string{whole, whole + " ", whole + whole, strings.ReplaceAll(whole, `"`, ""), scheme, scheme + ` key=""`, strings.Repeat(whole, 20)} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if p, err := parseProof(header); err == nil && p.header() != header {
			t.Errorf("%q is read as %q", header, p.header())
		}
	})
}

// A challenge is taken for its life, by every replica that has the secret, and by nobody else.
func TestChallenges(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	now := func() time.Time { return at }
	ours, replica := NewChallenges(bridge.NewSecret("a"), now), NewChallenges(bridge.NewSecret("a"), now)
	other := NewChallenges(bridge.NewSecret("b"), now)
	c := ours.issue()
	if !ours.fresh(c) || !replica.fresh(c) || other.fresh(c) || ours.fresh("") || ours.fresh(c[1:]) {
		t.Error("taken by the wrong ones")
	}
	at = at.Add(challengeLife + time.Millisecond)
	if ours.fresh(c) {
		t.Error("it lives for ever")
	}
}

// A link is never dialed in the clear, except to a cloud on the same machine.
func TestPlainCloud(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for cloud, want := range map[bridge.ServerURL]bridge.Code{"https://cloud.test": "", "http://127.0.0.1:7700": "", "http://cloud.test": bridge.CodeLinkPlain} {
		_, err := NewDialer(DialerConfig{Cloud: cloud, Path: "/v1/link", KeyID: "one", Key: key, Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
		if (err != nil) != (want != "") || err != nil && bridge.CodeOf(err) != want {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}
