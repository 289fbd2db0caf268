package links

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"github.com/acebridge/ace/bridge"
)

const (
	replicaName = "replica.ace.internal" // of all replicas: what proves them is the authority
	// A certificate lives as long as its process may run; a stolen one is of no use without its key, which is in memory only.
	replicaLife = 10 * 365 * 24 * time.Hour
	clockApart  = time.Hour // how far the clocks of two replicas may differ
)

// replicaTLS returns what a replica serves and dials other replicas with: TLS 1.3, and certificates at both ends. Their authority is
// derived from the cloud's signing key, so that a replica is whoever has that key. Each of several signing keys counts.
func replicaTLS(root bridge.SigningRoot, now time.Time) (server, client *tls.Config, err error) {
	pool := x509.NewCertPool()
	var first *x509.Certificate
	keys := root.InternalKeys()
	for _, key := range keys {
		authority, err := selfSigned(key, now)
		if err != nil {
			return nil, nil, err
		}
		pool.AddCert(authority)
		if first == nil {
			first = authority
		}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of a replica: %w", err)
	}
	leaf := certificate(now)
	leaf.DNSNames, leaf.KeyUsage = []string{replicaName}, x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, first, public, keys[0])
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of a replica: %w", err)
	}
	own := []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: private}}
	server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	client = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: own, RootCAs: pool, ServerName: replicaName}
	return server, client, nil
}

func certificate(now time.Time) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: replicaName},
		NotBefore: now.Add(-clockApart), NotAfter: now.Add(replicaLife), BasicConstraintsValid: true}
}

// selfSigned returns the certificate of an authority. It differs from one replica to another; its key and its name do not.
func selfSigned(key ed25519.PrivateKey, now time.Time) (*x509.Certificate, error) {
	template := certificate(now)
	template.Subject.CommonName, template.IsCA = "ace replicas", true
	template.KeyUsage, template.MaxPathLenZero = x509.KeyUsageCertSign, true
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of an authority: %w", err)
	}
	return x509.ParseCertificate(raw)
}
