package api

import "sync"

// Values of [HeaderRelay] in a response: it comes from the server, whatever its status, or from the cloud in its place.
const (
	RelayServer = "server"
	RelayCloud  = "cloud"
)

// HeaderRelayRequestID is the server's own request ID on a relayed response.
//
// It is the ID that the server's log and `ace why` know.
const HeaderRelayRequestID = "X-Ace-Relay-Request-Id"

const bufferSize = 32 << 10

// BufferPool recycles the copy buffers of a httputil.ReverseProxy.
//
// They would otherwise be most of the memory that a request takes. The zero value is ready to use.
type BufferPool struct{ free sync.Pool }

// Get implements httputil.BufferPool.
func (p *BufferPool) Get() []byte {
	if b, ok := p.free.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (p *BufferPool) Put(b []byte) { p.free.Put((*[bufferSize]byte)(b)) }
