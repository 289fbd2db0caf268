// Package api is the wire between the CLI, a cloud and a server: the bodies of requests and answers, the rendering of
// errors as problem documents (RFC 9457) and their reading back, the request log, and the typed clients of a server and
// of a cloud.
package api
