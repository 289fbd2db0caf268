// Package serving serves HTTP on a listener, bounds its connections, and stops without losing a request.
//
// A connection counts towards its address from accept to close ([Bound]). It is closed early if its client accepts nothing of
// a response for 30 seconds, or sends no complete request header for 10.
//
// The stages of [Serve]:
//
//	serving ──ctx ends──► leaving: readyz is 503, responses say "Connection: close"; lasts Config.Drain
//	                         │
//	                         ▼
//	                      draining: streams end within a second, calls get ten seconds ([Draining])
//	                         │ the last call is done
//	                         ▼
//	                      closed
//
// Event streams end cleanly; any other stream is cut so that nobody takes it for complete. A request that was ended because
// the process stops has the error of [Stopped].
package serving
