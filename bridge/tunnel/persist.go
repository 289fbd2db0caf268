package tunnel

import "net/http"

// persistent keeps an answer from ending its link: "Connection: close" is about one connection of HTTP/1.1, and net/http's HTTP/2
// makes a GOAWAY for all requests of it.
type persistent struct{ http.ResponseWriter }

// Unwrap is for [http.ResponseController], which flushes through keep.
func (w persistent) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w persistent) keep() { delete(w.Header(), "Connection") }

// WriteHeader implements [http.ResponseWriter].
func (w persistent) WriteHeader(status int) {
	w.keep()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w persistent) Write(p []byte) (int, error) {
	w.keep()
	return w.ResponseWriter.Write(p)
}

// FlushError sends what there is, as [http.ResponseController] asks.
func (w persistent) FlushError() error {
	w.keep()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (w persistent) Flush() { _ = w.FlushError() }
