package mcp

import (
	"iter"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/acebridge/ace/bridge"
)

// Object is a JSON object whose fields can be read in only one way.
type Object struct {
	fields map[string]jsontext.Value
	folded map[string]string // a name as a careless reader sees it, to the real name
}

// ParseObject parses one JSON object with nothing after it (RFC 8259).
//
// It refuses duplicate names and invalid UTF-8, as RFC 7493 section 2 wants.
func ParseObject(raw []byte) (Object, error) {
	value := jsontext.Value(raw)
	if err := checkUnicode(value); err != nil {
		return Object{}, err
	}
	if !value.IsValid() || value.Kind() != '{' {
		return Object{}, refuse(bridge.CodeBodyMalformed, "the body is not one JSON object with each name once")
	}
	return fieldsOf(value)
}

// checkUnicode refuses JSON whose only fault is text that is not Unicode: readers treat it differently.
func checkUnicode(value jsontext.Value) error {
	if !value.IsValid() && value.IsValid(jsontext.AllowInvalidUTF8(true)) {
		return bridge.E(bridge.Invalid, bridge.CodeBodyText,
			"the body holds text that is not Unicode: half of a surrogate pair, or bytes that are not UTF-8")
	}
	return nil
}

// fieldsOf returns the fields of a valid object. It refuses two names that fold to the same: careless readers take the last one.
func fieldsOf(value jsontext.Value) (Object, error) {
	o := Object{fields: map[string]jsontext.Value{}, folded: map[string]string{}}
	d := jsontext.NewDecoder(strings.NewReader(string(value)))
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return Object{}, refuse(bridge.CodeBodyMalformed, "the body is not JSON")
		}
		name := token.String()
		if _, twice := o.folded[bridge.FoldName(name)]; twice {
			return Object{}, refuse(bridge.CodeBodyAmbiguous, "the body has the field %q in two spellings", bridge.Clip(name, maxShown))
		}
		o.folded[bridge.FoldName(name)] = name
		v, err := d.ReadValue()
		if err != nil {
			return Object{}, refuse(bridge.CodeBodyMalformed, "the body is not JSON")
		}
		o.fields[name] = v.Clone()
	}
	return o, nil
}

// Get returns a field. It fails if only a careless reader would find the field under this name.
func (o Object) Get(name string) (jsontext.Value, bool, error) {
	if value, ok := o.fields[name]; ok {
		return value, value.Kind() != 'n', nil
	}
	if other, ok := o.folded[bridge.FoldName(name)]; ok {
		return nil, false, refuse(bridge.CodeBodyAmbiguous, "the body has %q, which is nearly the field %s", bridge.Clip(other,
			maxShown), name)
	}
	return nil, false, nil
}

// Text returns the string at a path of field names separated by dots.
//
// found is false if it is absent or null; anything else but a string is an error.
func (o Object) Text(path string) (string, bool, error) {
	name, rest, deeper := strings.Cut(path, ".")
	value, found, err := o.Get(name)
	if err != nil || !found {
		return "", false, err
	}
	if deeper {
		if value.Kind() != '{' {
			return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body is not an object", name)
		}
		inner, err := fieldsOf(value)
		if err != nil {
			return "", false, err
		}
		return inner.Text(rest)
	}
	if value.Kind() != '"' {
		return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body is not a string", name)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body cannot be read", name)
	}
	return string(text), true, nil
}

// Names returns the names of the fields, in no particular order.
func (o Object) Names() iter.Seq[string] { return maps.Keys(o.fields) }

const maxShown = 80 // bytes of an outside value that are quoted in a message

// refuse makes a refusal whose exact cause only the operator sees.
func refuse(code bridge.Code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "this request is not allowed").
		Because(bridge.E(bridge.Forbidden, code, format, args...))
}
