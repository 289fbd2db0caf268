package main

import (
	"crypto/tls"
	"net/http"
	"time"
)

type httpHandler = http.Handler

// cleanupTimeout bounds what is still done after an interrupt.
const cleanupTimeout = 10 * time.Second

// ownTransport calls the process beside this one.
func ownTransport() http.RoundTripper {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see ownAddress
}
