package api

import "sync"

// The values of [HeaderRelay] in an answer: [RelayServer] is in the server's own, whatever its status, [RelayCloud] in one that
// the cloud gives in its place.
const (
	RelayServer = "server"
	RelayCloud  = "cloud"
)

// HeaderRelayRequestID is in an answer of the server that has come through the relay: the ID that the server has given the
// request, which is the one that its log and `ace why` know.
const HeaderRelayRequestID = "X-Ace-Relay-Request-Id"

const bufferSize = 32 << 10

// BufferPool keeps the buffers through which the answers of a httputil.ReverseProxy pass, which would be most of the memory
// that a request takes. The zero value is ready.
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
