// Package link keeps a server's links to its cloud: it joins, dials, rotates their keys, and says what comes over them.
//
// A link belongs to one API key of this server. The key is issued by an exchange: of a join ([Manager.Join]), or of a connect by
// a person, where ACE_TUNNEL=on asks for links. The state of a link's row:
//
//	Issue ──► new ──registered, or the key is used──► live ──► (deleted)     left, or its key is revoked
//	           └──────── the key lapses unused ─────► lapsed: (deleted) by the next join
//
// A server that joins again signs with each of its links' keys that the cloud may know ([bridge.JoinProof]), also with those of joins
// whose end it has not seen. For that, a lapsed link of a join is kept; it opens no links and pins nothing.
//
// A joined link pins its cloud: the server trusts that cloud's public key as long as the row is there, and refuses another one
// ([bridge.CodeCloudPinned]). The private key is sealed under a key derived from ACE_JWT_SECRET; whoever has only the database
// cannot open links.
//
// [Manager.Run] dials for each living key, at most [MaxLinked], and looks again whenever a key changes. Every thirty days a link's
// key is replaced: the cloud is told the successor, a link is opened with it, and only then is the old one dropped.
//
// What comes over a link goes through the server's own handler, after [Allow] and with a mark in its context ([Over]). The
// exchange and forward-auth refuse such requests. A probe of the cloud is noted ([Manager.Probed]), which is what [Manager.Ready]
// asks: a link that is up without a working path is not ready.
//
// It leaves to others: HTTP/2 and waiting between dials (bridge/tunnel), the join's steps (bridge/connect), keys (bridge/keys).
package link
