package mcp

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/acebridge/ace/bridge"
)

const maxBatch = 100

// Message is one MCP message.
type Message struct {
	Name   string // the tool of a tools/call; otherwise the method, or [Response]
	Call   bool   // it is a tools/call
	Object Object
}

// Names of messages with a meaning of their own.
const (
	Response  = "response" // an answer to a request from the other side
	ToolsList = "tools/list"
	toolsCall = "tools/call"
)

// Read parses the messages in a body: one JSON-RPC 2.0 message, or a batch.
func Read(raw []byte) ([]Message, error) {
	objects, err := parseObjects(raw)
	if err != nil {
		return nil, err
	}
	messages := make([]Message, 0, len(objects))
	for _, o := range objects {
		m, err := messageOf(o)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// OfProtocol reports whether a message belongs to MCP itself, and neither calls nor lists tools.
func OfProtocol(name string) bool {
	switch name {
	case "initialize", "ping", Response:
		return true
	}
	return strings.HasPrefix(name, "notifications/")
}

// messageOf parses one message.
func messageOf(o Object) (Message, error) {
	method, isRequest, err := o.Text("method")
	if err != nil {
		return Message{}, err
	}
	_, result, err := o.Get("result")
	if err != nil {
		return Message{}, err
	}
	_, failure, err := o.Get("error")
	if err != nil {
		return Message{}, err
	}
	answers := result || failure
	switch {
	case isRequest && answers:
		return Message{}, refuse(bridge.CodeValueAmbiguous, "a message is request and response at once")
	case !isRequest && answers:
		return Message{Name: Response, Object: o}, nil
	case !isRequest:
		return Message{}, refuse(bridge.CodeValueMissing, "a message of the body has no method")
	case method != toolsCall:
		return Message{Name: method, Object: o}, nil
	}
	name, found, err := o.Text("params.name")
	if err != nil {
		return Message{}, err
	}
	if !found {
		return Message{}, refuse(bridge.CodeValueMissing, "a tools/call names no tool")
	}
	return Message{Name: name, Call: true, Object: o}, nil
}

// parseObjects parses one JSON object or an array of them.
func parseObjects(raw []byte) ([]Object, error) {
	value := jsontext.Value(raw)
	if err := checkUnicode(value); err != nil {
		return nil, err
	}
	if !value.IsValid() {
		return nil, refuse(bridge.CodeBodyMalformed, "the body is not JSON with each name once")
	}
	if value.Kind() == '{' {
		o, err := fieldsOf(value)
		return []Object{o}, err
	}
	if value.Kind() != '[' {
		return nil, refuse(bridge.CodeBodyMalformed, "the body is neither a JSON object nor a batch of them")
	}
	d := jsontext.NewDecoder(strings.NewReader(string(raw)))
	_, _ = d.ReadToken() // cannot fail: the value is valid
	var out []Object
	for d.PeekKind() != ']' {
		element, err := d.ReadValue()
		if err != nil || element.Kind() != '{' {
			return nil, refuse(bridge.CodeBodyMalformed, "a member of the batch is not an object")
		}
		if len(out) == maxBatch {
			return nil, refuse(bridge.CodeBodyMalformed, "the batch has more than %d messages", maxBatch)
		}
		o, err := fieldsOf(element.Clone())
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, refuse(bridge.CodeBodyMalformed, "the batch is empty")
	}
	return out, nil
}
