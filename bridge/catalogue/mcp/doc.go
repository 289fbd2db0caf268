// Package mcp parses the MCP messages (JSON-RPC 2.0) in a request, for the rules of the catalogue.
//
// This parser and the app's must not come to different conclusions about a body. So it refuses everything that two readers could
// understand differently: a name that is repeated, or that occurs in two spellings a careless reader takes for one; text that is
// not Unicode; a message that is request and response at once.
//
//	body ──► one object, or a batch of at most 100 ([Read])
//	           ├─ has a method ──► tools/call ──► [Message.Call], with the tool's name
//	           │                   any other ──► the method's name; [OfProtocol] recognises MCP's own
//	           ├─ has a result or an error ──► [Response]
//	           └─ neither ──► refused
//
// [Object] is a JSON object that can be read in only one way; rules that look into fields of other bodies use it too. Whether a
// message may pass is up to bridge/catalogue.
package mcp
