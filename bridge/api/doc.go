// Package api is the wire format between the CLI, a cloud and a server.
//
// It holds the request and response bodies, grouped by subject (bodies_*.go), and what all our HTTP handlers share:
//
//	request  ──► [NewEcho]: request ID, log, security headers ──► handler: [Decode], [PageLimit]
//	                                                                │ error
//	response ◄── [WriteProblem]: a problem document (RFC 9457) ◄────┘
//
// [ReadProblem] turns such a document back into the original error. The caller's address, scheme and host are taken from
// forwarding headers only if a trusted proxy sent them ([ClientAddress], [ForwardedScheme], [ForwardedHost]). [Limiter] bounds
// how often something can be tried.
//
// The clients for this wire format are in bridge/apiclient; listening, connection limits and graceful stop are in
// bridge/api/serving.
package api
