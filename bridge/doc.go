// Package bridge is the vocabulary that both sides of ace share.
//
// It defines secrets, API keys, scopes, roles, server URLs, the cloud secret, error codes, and the tokens and sealed keys that
// travel between a cloud and a self-hosted server. It owns formats and their checks and nothing else: it performs no I/O, keeps
// no state and reads no clock; callers pass the time. Everything from outside is bounded before it is parsed, and every parser
// has a fuzz target.
//
// What travels, and who makes and checks it:
//
//	cloud ──connect token──► server        [SigningKey.SignConnect], [Trust.VerifyConnect]: a cloud JWT for one server, one use
//	cloud ◄──sealed key───── server        [Seal], [SigningRoot.OpenSealed]: the API key that the token was exchanged for
//	cloud ──access token───► server        [Key.SignAccess], [VerifyAccess]: a member's call, for five minutes
//	cloud ──withdrawal─────► server        [Key.SignWithdrawal], [VerifyWithdrawal]: takes access from members
//	cloud ──revocation─────► server        [Key.SignRevocation], [VerifyRevocation]: kills the key
//
// The last three are signed with a key pair derived from the API key's secret, so the server needs nothing but the key's public
// half to check them, and the statements can take away but never grant.
//
// Every failure is an [Error] with a [Code] that programs may compare and docs/errors.md explains.
package bridge
