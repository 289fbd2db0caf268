package cloud_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud"
)

// Guessing at an account, from however many addresses, makes strangers wait, but not the person in a known browser or network.
func TestGuesserLocksNobodyOut(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(cfg *cloud.Config) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	try := func(address, cookie, pass string) int {
		resp, _ := f.form("/login", url.Values{"email": {"ann@acme.test"}, "password": {pass}}, "X-Forwarded-For", address, "Cookie", cookie)
		return resp.StatusCode
	}
	resp, _ := f.form("/login", url.Values{"email": {"ann@acme.test"}, "password": {password}}, "X-Forwarded-For", "203.0.113.5")
	known := jar("", resp)
	waits := 0
	for i := range 20 {
		if try(fmt.Sprintf("198.51.100.%d", i+1), "", "wrong password") == http.StatusTooManyRequests {
			waits++
		}
	}
	if waits < 10 {
		t.Errorf("a stranger who guesses waits for %d of 20 tries", waits)
	}
	if status := try("198.51.100.99", "", password); status != http.StatusTooManyRequests {
		t.Errorf("another stranger, with the right password: %d", status)
	}
	if status := try("192.0.2.7", known, password); status != http.StatusSeeOther {
		t.Errorf("the person, at a known browser in another network: %d", status)
	}
	if status := try("203.0.113.5", "", password); status != http.StatusSeeOther {
		t.Errorf("the person, in a known network with another browser: %d", status)
	}
}

// Many successful sign-ins from one address are not counted as guesses; wrong passwords from there still wait.
func TestSuccessesAreNotGuesses(t *testing.T) {
	f := startWith(t, sqldbtest.SQLite(t), func(cfg *cloud.Config) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	try := func(address, email, pass string) int {
		resp, _ := f.form("/login", url.Values{"email": {email}, "password": {pass}}, "X-Forwarded-For", address)
		return resp.StatusCode
	}
	for i := range 40 {
		if status := try("203.0.113.5", "ann@acme.test", password); status != http.StatusSeeOther {
			t.Fatalf("sign-in %d of an office: %d", i, status)
		}
	}
	refused := 0
	for i := range 20 {
		if try("203.0.113.5", fmt.Sprintf("nobody%d@acme.test", i), "wrong password") == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("guesses from the same address: %d of 20 wait", refused)
	}
	if status := try("198.51.100.7", "ann@acme.test", password); status != http.StatusSeeOther {
		t.Errorf("another address: %d", status)
	}
}
