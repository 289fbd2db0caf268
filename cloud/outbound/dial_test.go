package outbound

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// get tries an address through an outbound client. If it is blocked, nothing must have been sent.
func get(t *testing.T, client *http.Client, address string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return ErrBlocked
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

func TestOutboundReachesNothingInside(t *testing.T) {
	hosted := Rules{}.Client()
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "localhost", "0.0.0.0", "[::1]", "[::]", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.9.9",
		"192.168.1.1", "169.254.169.254", "169.254.0.1", "168.63.129.16", "100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.2.1",
		"198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[fe80::1]", "[fc00::1]",
		"[fd00:ec2::254]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a00:1]",
		"[2002:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[::127.0.0.1]", "[100::1]",
	} {
		for _, scheme := range []string{"https", "http"} {
			if err := get(t, hosted, scheme+"://"+host+":1/"); !errors.Is(err, ErrBlocked) {
				t.Errorf("%s://%s: %v", scheme, host, err)
			}
		}
	}
	if err := get(t, hosted, "http://ace.example.com/"); !errors.Is(err, ErrBlocked) {
		t.Errorf("plain http to a public name: %v", err)
	}
}

func TestOutboundReachesWhatIsAllowed(t *testing.T) {
	inside := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	t.Cleanup(inside.Close)
	for name, client := range map[string]*http.Client{
		"a cloud on loopback": Rules{Loopback: true}.Client(), "an allowed range": Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}.Client(),
	} {
		if err := get(t, client, inside.URL); err != nil { // the redirect is not followed
			t.Errorf("%s: %v", name, err)
		}
		if err := get(t, client, strings.Replace(inside.URL, "127.0.0.1", "10.0.0.1", 1)); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: another private address: %v", name, err)
		}
	}
	if err := get(t, Rules{Allow: []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")}}.Client(), "https://169.254.169.254/"); !errors.Is(err, ErrBlocked) {
		t.Errorf("the metadata service is reached through an allowed range: %v", err)
	}
}
