package catalogue

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/acebridge/ace/bridge"
)

const maxBatch = 100

// object is a JSON object whose fields can be read in one way only: what looks at a body here and what reads it in the
// app must not come to different answers.
type object struct {
	fields map[string]jsontext.Value
	folded map[string]string // how a careless reader sees a name, to the name
}

// parseObject reads one JSON object and nothing after it (RFC 8259; duplicate names and invalid UTF-8 are refused, as
// RFC 7493 wants).
func parseObject(raw []byte) (object, error) {
	value := jsontext.Value(raw)
	if err := checkUnicode(value); err != nil {
		return object{}, err
	}
	if !value.IsValid() || value.Kind() != '{' {
		return object{}, refuse("body_malformed", "the body is not one JSON object with each name once")
	}
	return fieldsOf(value)
}

// checkUnicode refuses JSON whose only fault is text that is no Unicode: readers make different things of it.
func checkUnicode(value jsontext.Value) error {
	if !value.IsValid() && value.IsValid(jsontext.AllowInvalidUTF8(true)) {
		return bridge.E(bridge.Invalid, "body_text", "the body holds text that is not Unicode: half of a surrogate pair, or bytes that are not UTF-8")
	}
	return nil
}

// parseMessages reads one JSON object or an array of them.
func parseMessages(raw []byte) ([]object, error) {
	value := jsontext.Value(raw)
	if err := checkUnicode(value); err != nil {
		return nil, err
	}
	if !value.IsValid() {
		return nil, refuse("body_malformed", "the body is not JSON with each name once")
	}
	if value.Kind() == '{' {
		o, err := fieldsOf(value)
		return []object{o}, err
	}
	if value.Kind() != '[' {
		return nil, refuse("body_malformed", "the body is neither a JSON object nor a batch of them")
	}
	d := jsontext.NewDecoder(strings.NewReader(string(raw)))
	_, _ = d.ReadToken() // the value is valid
	var out []object
	for d.PeekKind() != ']' {
		element, err := d.ReadValue()
		if err != nil || element.Kind() != '{' {
			return nil, refuse("body_malformed", "a member of the batch is not an object")
		}
		if len(out) == maxBatch {
			return nil, refuse("body_malformed", "the batch has more than %d messages", maxBatch)
		}
		o, err := fieldsOf(element.Clone())
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, refuse("body_malformed", "the batch is empty")
	}
	return out, nil
}

// fieldsOf lists the fields of a valid object. Two names that fold to the same are refused: careless readers take the
// last.
func fieldsOf(value jsontext.Value) (object, error) {
	o := object{fields: map[string]jsontext.Value{}, folded: map[string]string{}}
	d := jsontext.NewDecoder(strings.NewReader(string(value)))
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return object{}, refuse("body_malformed", "the body is not JSON")
		}
		name := token.String()
		if _, twice := o.folded[bridge.FoldName(name)]; twice {
			return object{}, refuse("body_ambiguous", "the body has the field %q in two spellings", bridge.Clip(name, maxShown))
		}
		o.folded[bridge.FoldName(name)] = name
		v, err := d.ReadValue()
		if err != nil {
			return object{}, refuse("body_malformed", "the body is not JSON")
		}
		o.fields[name] = v.Clone()
	}
	return o, nil
}

// get finds a field. One that only a careless reader would find under this name is refused.
func (o object) get(name string) (jsontext.Value, bool, error) {
	if value, ok := o.fields[name]; ok {
		return value, value.Kind() != 'n', nil
	}
	if other, ok := o.folded[bridge.FoldName(name)]; ok {
		return nil, false, refuse("body_ambiguous", "the body has %q, which is nearly the field %s", bridge.Clip(other, maxShown), name)
	}
	return nil, false, nil
}

// text is the string at a path of field names with dots between; not found when it is absent or null, and refused when
// it is anything but a string.
func (o object) text(path string) (string, bool, error) {
	name, rest, deeper := strings.Cut(path, ".")
	value, found, err := o.get(name)
	if err != nil || !found {
		return "", false, err
	}
	if deeper {
		if value.Kind() != '{' {
			return "", false, refuse("value_malformed", "the field %s of the body is no object", name)
		}
		inner, err := fieldsOf(value)
		if err != nil {
			return "", false, err
		}
		return inner.text(rest)
	}
	if value.Kind() != '"' {
		return "", false, refuse("value_malformed", "the field %s of the body is no string", name)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", false, refuse("value_malformed", "the field %s of the body cannot be read", name)
	}
	return string(text), true, nil
}
