// Package target finds the connection, key or server that somebody names.
//
// People name a connection by its name, its server's URL or its ID ([Connection]), and a key by its name or ID ([Keys.ID]). A name
// matches in any Unicode form; if it matches several things, the error lists their IDs.
//
// Commands about keys work on the cloud or on a server ([Finder.Keys]):
//
//	--cloud ───────────────> the cloud you are logged in to
//	--server or --token ───> the server
//	neither ─┬─ logged in ─> the cloud
//	         └─ logged out > the server on this machine
//
// The credential for a server is the first of these that is set ([Finder.Server]):
//
//	--token > ACE_KEY > the three ACE_API_KEY_… > ACE_TOKEN > the credential of your connection to that server
//
// If the server refuses the credential, the hint says what helps with the one that was sent.
//
// It decides nothing: what a credential may do is up to the cloud and the server.
package target
