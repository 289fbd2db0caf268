// Package serving answers HTTP on a listener, bounds its connections, and stops without losing a request.
//
// A connection counts by its address from the moment it is accepted until it is closed ([Bound]). It is closed early where a
// client takes nothing of an answer for too long, or sends nothing.
//
// The stages of [Serve]:
//
//	serving ──ctx ends──► leaving: readyz is 503, answers say "Connection: close"; for Config.Drain
//	                         │
//	                         ▼
//	                      draining: streams end within a second, calls have ten seconds ([Draining])
//	                         │ the last call is done
//	                         ▼
//	                      closed
//
// Event streams end cleanly; any other stream is cut, so that nobody takes it for complete. A request that was ended because
// the process stops has the error of [Stopped].
package serving
