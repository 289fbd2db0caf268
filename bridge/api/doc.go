// Package api is the wire between the CLI, a cloud and a server.
//
// It has the bodies of requests and answers, grouped by subject (bodies_*.go), and what every HTTP handler of ours shares:
//
//	request ──► [NewEcho]: request ID, log, security headers ──► handler: [Decode], [PageLimit]
//	                                                               │ error
//	answer  ◄── [WriteProblem]: a problem document (RFC 9457) ◄────┘
//
// [ReadProblem] turns such a document back into the error that it was. Who calls, and over which scheme and host, is taken
// from forwarding headers only where a trusted proxy has sent them ([ClientAddress], [ForwardedScheme], [ForwardedHost]).
// [Limiter] bounds how often something is tried.
//
// The clients that speak this wire are in bridge/apiclient; listeners, connections and stopping are in bridge/api/serving.
package api
