package catalogue

import (
	"net/http"
	"slices"

	"github.com/acebridge/ace/bridge/catalogue/mcp"
)

// withoutMessage reports whether a request of MCP's transport carries no message: GET opens the stream of the server's messages,
// DELETE ends the session. A request with a body is always read.
func (r *rule) withoutMessage(v *values) (bool, error) {
	switch v.request.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
	default:
		return false, nil
	}
	if r.tool != toolMCP || v.request.Body == nil {
		return false, nil
	}
	body, err := v.request.Body()
	return err == nil && len(body) == 0, err
}

// protocol reports whether a message belongs to MCP itself and touches no tool: it passes unless the rule's messages name it. The
// list of tools counts too if the rule names no messages at all.
func (r *rule) protocol(name string) bool {
	return mcp.OfProtocol(name) || name == mcp.ToolsList && len(r.messages) == 0
}

// ofTheRequest returns what the rule requires, except scopes with values from a tool's name or from the body.
func (r *rule) ofTheRequest() []template {
	return slices.DeleteFunc(slices.Clone(r.require), func(t template) bool {
		return slices.ContainsFunc(t.parts, func(p part) bool { return p.source == fromTool || p.source == fromBody })
	})
}
