// Package bridge is the vocabulary that both sides of ace speak: secrets, API keys, scopes, server URLs, the cloud
// secret and the tokens and sealed keys that travel between a cloud and a self-hosted server.
//
// It owns formats and their checks and nothing else. It performs no I/O, keeps no state and reads no clock: callers pass
// the time. Everything that comes from outside is bounded before it is looked at, and every parser here has a fuzz
// target.
//
// The words are those of the design: a connect token is a cloud JWT narrowed for one server and one use, an exchange
// turns it into an API key, and a derived access token is signed with a key pair derived from an API key's secret.
package bridge
