package catalogue

import (
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue/mcp"
)

// values finds the values for the templates of one rule in one request.
type values struct {
	rule    *rule
	request Request
	parts   []string
	call    call // the operation being checked
	body    *mcp.Object
	read    bool
}

// call is one operation that a request asks for.
type call struct {
	name    string
	message bool // an MCP message other than tools/call
	object  mcp.Object
}

// get returns a value of the request; found is false if there is none.
func (v *values) get(p part) (value string, found bool, err error) {
	switch p.source {
	case fromHeader:
		return v.header(p.name)
	case fromPath:
		return v.rule.value(p.name, v.parts), true, nil
	case fromQuery:
		return v.query(p.name)
	case fromTool:
		return v.call.name, true, nil
	}
	o := v.call.object
	if v.rule.tool == "" {
		if o, err = v.object(); err != nil {
			return "", false, err
		}
	}
	return o.Text(p.name)
}

// header returns the one value of a header. A second header, even one that only folds to the same name, leaves open which one
// the app reads.
func (v *values) header(name string) (string, bool, error) {
	var found []string
	for h, values := range v.request.Header {
		if len(h) == len(name) && strings.EqualFold(bridge.FoldHeader(h), bridge.FoldHeader(name)) {
			found = append(found, values...)
		}
	}
	switch {
	case len(found) > 1:
		return "", false, refuse(bridge.CodeValueAmbiguous, "the request has more than one header %s", name)
	case len(found) == 0 || found[0] == "":
		return "", false, nil
	}
	return found[0], true, nil
}

// query returns the one value of a query parameter, under every name that some app may read it by.
func (v *values) query(name string) (string, bool, error) {
	query, err := url.ParseQuery(v.request.RawQuery)
	if err != nil {
		return "", false, bridge.E(bridge.Invalid, bridge.CodeQueryAmbiguous,
			"the query can be read in more than one way: it has a semicolon, or a %% that escapes nothing")
	}
	var found []string
	for key, values := range query {
		if slices.ContainsFunc(readings(key), func(r string) bool { return foldParameter(r) == foldParameter(name) }) {
			found = append(found, values...)
		}
	}
	switch {
	case len(found) > 1 || (len(found) == 1 && !query.Has(name)):
		return "", false, refuse(bridge.CodeValueAmbiguous, "the query can be read in more than one way for %s", name)
	case len(found) == 0 || found[0] == "":
		return "", false, nil
	}
	return found[0], true, nil
}

// foldParameter is bridge.FoldName for parameters: PHP also turns dots and spaces into underscores.
func foldParameter(name string) string {
	return bridge.FoldName(strings.NewReplacer(".", "_", " ", "_").Replace(name))
}

// raw reads the body once. It checks that its bytes are what the app will read: no content encoding, and no character set but
// UTF-8.
func (v *values) raw() ([]byte, error) {
	if v.request.Body == nil {
		return nil, refuse(bridge.CodeBodyUnseen, "this rule needs the body, which cannot be seen here").
			WithHint("use the gateway of ace server, or bridge/guard")
	}
	if encoding := v.request.Header.Values("Content-Encoding"); len(encoding) > 0 && !strings.EqualFold(strings.Join(encoding, ","), "identity") {
		return nil, refuse(bridge.CodeBodyEncoded, "the body is encoded, so the rule cannot look into it")
	}
	// An app may accept forms too, and find a different operation in the same bytes.
	if types := v.request.Header.Values("Content-Type"); len(types) > 0 {
		mediaType, params, err := mime.ParseMediaType(types[0])
		charset, named := params["charset"]
		if err != nil || len(types) > 1 || (named && !strings.EqualFold(charset, "utf-8")) ||
			(mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json")) {
			return nil, refuse(bridge.CodeBodyType, "the body is not declared as JSON in UTF-8, exactly once")
		}
	}
	return v.request.Body()
}

// object returns the body as one JSON object.
func (v *values) object() (mcp.Object, error) {
	if v.read {
		return *v.body, nil
	}
	raw, err := v.raw()
	if err != nil {
		return mcp.Object{}, err
	}
	o, err := mcp.ParseObject(raw)
	if err != nil {
		return mcp.Object{}, err
	}
	for name := range o.Names() {
		if overridesMethod(name) { // some apps treat JSON like a form
			return mcp.Object{}, refuse(bridge.CodeOverrideParameter,
				"the field %q of the body could make the app treat the request as a different one", bridge.Clip(name, maxShown))
		}
	}
	v.body, v.read = &o, true
	return o, nil
}

// calls returns the operations that the body asks for: one, or all of a batch.
func (v *values) calls() ([]call, error) {
	if v.rule.tool != toolMCP {
		o, err := v.object()
		if err != nil {
			return nil, err
		}
		name, found, err := o.Text(v.rule.tool)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, refuse(bridge.CodeValueMissing, "the body has no %s", v.rule.tool)
		}
		return []call{{name: name, object: o}}, nil
	}
	raw, err := v.raw()
	if err != nil {
		return nil, err
	}
	messages, err := mcp.Read(raw)
	if err != nil {
		return nil, err
	}
	calls := make([]call, 0, len(messages))
	for _, m := range messages {
		calls = append(calls, call{name: m.Name, message: !m.Call, object: m.Object})
	}
	return calls, nil
}
