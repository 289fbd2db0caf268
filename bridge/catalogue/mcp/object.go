package mcp

import (
	"iter"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/acebridge/ace/bridge"
)

// Object is a JSON object whose fields can be read in one way only: what looks at a body here and what reads it in the
// app must not come to different answers.
type Object struct {
	fields map[string]jsontext.Value
	folded map[string]string // how a careless reader sees a name, to the name
}

// ParseObject reads one JSON object and nothing after it (RFC 8259; duplicate names and invalid UTF-8 are refused, as
// RFC 7493 wants).
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

// checkUnicode refuses JSON whose only fault is text that is no Unicode: readers make different things of it.
func checkUnicode(value jsontext.Value) error {
	if !value.IsValid() && value.IsValid(jsontext.AllowInvalidUTF8(true)) {
		return bridge.E(bridge.Invalid, bridge.CodeBodyText,
			"the body holds text that is not Unicode: half of a surrogate pair, or bytes that are not UTF-8")
	}
	return nil
}

// fieldsOf lists the fields of a valid object. Two names that fold to the same are refused: careless readers take the
// last.
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

// Get finds a field. One that only a careless reader would find under this name is refused.
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

// Text is the string at a path of field names with dots between; not found when it is absent or null, and refused when
// it is anything but a string.
func (o Object) Text(path string) (string, bool, error) {
	name, rest, deeper := strings.Cut(path, ".")
	value, found, err := o.Get(name)
	if err != nil || !found {
		return "", false, err
	}
	if deeper {
		if value.Kind() != '{' {
			return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body is no object", name)
		}
		inner, err := fieldsOf(value)
		if err != nil {
			return "", false, err
		}
		return inner.Text(rest)
	}
	if value.Kind() != '"' {
		return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body is no string", name)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", false, refuse(bridge.CodeValueMalformed, "the field %s of the body cannot be read", name)
	}
	return string(text), true, nil
}

// Names are those of the fields.
func (o Object) Names() iter.Seq[string] { return maps.Keys(o.fields) }

const maxShown = 80 // bytes of a value from outside in a message

// refuse is a refusal whose exact cause only the operator sees.
func refuse(code bridge.Code, format string, args ...any) *bridge.Error {
	return bridge.E(bridge.Forbidden, bridge.CodeAccessDenied, "this request is not allowed").
		Because(bridge.E(bridge.Forbidden, code, format, args...))
}
