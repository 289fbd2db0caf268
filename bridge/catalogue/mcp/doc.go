// Package mcp reads the messages of MCP (JSON-RPC 2.0) that a request carries, for the rules of the catalogue.
//
// What looks at a body here and what reads it in the app must not come to different answers. So a body is refused that two
// readers could understand differently: a name twice, or in two spellings that a careless reader takes for one, text that is no
// Unicode, a message that is request and response at once.
//
//	body ──► one object, or a batch of at most 100 ([Read])
//	           ├─ has a method ──► tools/call ──► [Message.Call], with the tool's name
//	           │                   any other ──► the method's name; [OfProtocol] tells MCP's own apart
//	           ├─ has a result or an error ──► [Response]
//	           └─ neither ──► refused
//
// [Object] is a JSON object that can be read in one way only; rules that look into fields of other bodies use it too. Whether
// a message may pass is for bridge/catalogue.
package mcp
