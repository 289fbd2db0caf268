package bridge

import "time"

// Time limits of connecting, the same for CLI, cloud and server.
const (
	// MaxConnectTokenLife is the longest a connect token may be valid (exp − iat).
	MaxConnectTokenLife = 5 * time.Minute
	// ClockSkew is how far in the future a token's iat may lie.
	ClockSkew = 30 * time.Second
	// UnconfirmedLife is how long an exchanged key lives before its first use.
	UnconfirmedLife = 10 * time.Minute
	// DefaultKeyLife is how long an API key lives unless its creator says otherwise.
	DefaultKeyLife = 90 * 24 * time.Hour
	// MaxAccessTokenLife is the longest a derived access token may be valid (exp − iat).
	MaxAccessTokenLife = 5 * time.Minute
)

// DefaultServerURL is where `ace server` listens by default, and what `ace connect` connects.
const DefaultServerURL ServerURL = "http://localhost:7777"

// DefaultCloudURL is where `ace cloud` listens by default.
const DefaultCloudURL ServerURL = "http://127.0.0.1:7700"
