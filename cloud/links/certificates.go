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

// replicaTLS returns what a replica serves and dials other replicas with: TLS 1.3, and certificates at both ends. Their authorities
// are derived from the cloud's signing keys, so that a replica is whoever has one of these keys.
//
// All keys vouch for a replica, and each of them counts: while a key is replaced, one replica after the other, two replicas have one
// in common, which need not be the first of both.
//
//	signing key 1 ──┐
//	signing key 2 ──┴──► the replica's own authority ──► its certificate
func replicaTLS(root bridge.SigningRoot, now time.Time) (server, client *tls.Config, err error) {
	ownPublic, own, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the authority of a replica: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of a replica: %w", err)
	}
	leaf := certificate(now, replicaName)
	leaf.DNSNames, leaf.KeyUsage = []string{replicaName}, x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	pool, between := x509.NewCertPool(), authority(now, "ace replica", 0)
	raw, err := x509.CreateCertificate(rand.Reader, leaf, between, public, own)
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of a replica: %w", err)
	}
	chain := [][]byte{raw}
	for _, key := range root.InternalKeys() {
		template := authority(now, "ace replicas", 1)
		raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return nil, nil, fmt.Errorf("make the certificate of an authority: %w", err)
		}
		top, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("read the certificate of an authority: %w", err)
		}
		pool.AddCert(top)
		if raw, err = x509.CreateCertificate(rand.Reader, between, top, ownPublic, key); err != nil {
			return nil, nil, fmt.Errorf("make the certificate of a replica's authority: %w", err)
		}
		chain = append(chain, raw)
	}
	ours := []tls.Certificate{{Certificate: chain, PrivateKey: private}}
	server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: ours, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	client = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: ours, RootCAs: pool, ServerName: replicaName}
	return server, client, nil
}

func certificate(now time.Time, name string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockApart), NotAfter: now.Add(replicaLife), BasicConstraintsValid: true}
}

// authority is the template of a certificate that signs others, with at most some authorities below it.
func authority(now time.Time, name string, below int) *x509.Certificate {
	template := certificate(now, name)
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	template.MaxPathLen, template.MaxPathLenZero = below, below == 0
	return template
}
