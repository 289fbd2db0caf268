package bridge

import "time"

// The limits of a connect, the same on every side.
const (
	// MaxConnectTokenLife bounds exp − iat of a connect token.
	MaxConnectTokenLife = 5 * time.Minute
	// ClockSkew is how far in the future a token's iat may lie.
	ClockSkew = 30 * time.Second
	// UnconfirmedLife is how long an exchanged key lives without a first use.
	UnconfirmedLife = 10 * time.Minute
	// DefaultKeyLife is how long an API key lives unless it is said otherwise.
	DefaultKeyLife = 90 * 24 * time.Hour
	// MaxAccessTokenLife bounds exp − iat of a derived access token.
	MaxAccessTokenLife = 5 * time.Minute
)

// DefaultServerURL is where `ace server` listens unless told otherwise, and what `ace connect` connects by default.
const DefaultServerURL ServerURL = "http://localhost:7777"

// DefaultCloudURL is where `ace cloud` listens unless told otherwise.
const DefaultCloudURL ServerURL = "http://127.0.0.1:7700"
