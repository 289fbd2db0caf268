package links

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/acebridge/ace/bridge"
)

// Replicas prove themselves to each other while their signing key is being replaced, one replica after the other: two that have one
// signing key in common. A stranger proves nothing.
func TestReplicasOfSeveralSigningKeys(t *testing.T) {
	one, two, other := numbered(1), numbered(2), numbered(1)
	for _, c := range []struct {
		name, server, client string
		works                bool
	}{
		{"the same", one, one, true},
		{"the client has the new one as well", one, one + "," + two, true},
		{"the server has the new one as well", one + "," + two, one, true},
		{"the client signs with the new one", one + "," + two, two + "," + one, true},
		{"the client signs with the new one, the server does not know it", one, two + "," + one, true},
		{"the server signs with the new one, the client does not know it", two + "," + one, one, true},
		{"the client has forgotten the old one", two + "," + one, two, true},
		{"the server has forgotten the old one", two, two + "," + one, true},
		{"none in common", one, two, false},
		{"a stranger", one, other, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, _, err := replicaTLS(parsed(t, c.server), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			_, client, err := replicaTLS(parsed(t, c.client), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ln.Close() }()
			served := make(chan error, 1)
			go func() {
				conn, err := ln.Accept()
				if err == nil {
					err = conn.(*tls.Conn).HandshakeContext(t.Context())
					_ = conn.Close()
				}
				served <- err
			}()
			conn, clientErr := tls.Dial("tcp", ln.Addr().String(), client)
			if clientErr == nil {
				_ = conn.Close()
			}
			serverErr := <-served
			if works := clientErr == nil && serverErr == nil; works != c.works {
				t.Errorf("the client: %v; the server: %v", clientErr, serverErr)
			}
		})
	}
}

// numbered is a signing key with a number.
func numbered(n int) string {
	_, key, _ := strings.Cut(bridge.NewSigningRoot().Reveal(), ".")
	return string(rune('0'+n)) + "." + key
}

func parsed(t *testing.T, text string) bridge.SigningRoot {
	t.Helper()
	root, err := bridge.ParseSigningRoot(bridge.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}
