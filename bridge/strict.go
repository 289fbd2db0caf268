package bridge

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeStrict decodes one JSON value on which a decision depends.
//
// Names must match exactly, no object may repeat a name, and nothing may follow the value. Unknown names are ignored, unless a
// careless reader could take one for a known name: then it is an error.
func DecodeStrict(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return plainJSONError(err)
	}
	return checkSpelling(jsontext.NewDecoder(strings.NewReader(string(raw))), reflect.TypeOf(v))
}

// DecodeClosed is DecodeStrict for values in which every name must be known.
func DecodeClosed(raw []byte, v any) error {
	return plainJSONError(json.Unmarshal(raw, v, json.RejectUnknownMembers(true)))
}

// plainJSONError explains an error of the JSON library in plain words, without quoting the value.
func plainJSONError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		where := e.JSONPointer.LastToken()
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return fmt.Errorf("unknown field %q", Clip(where, maxShown))
		case e.JSONPointer != "":
			return fmt.Errorf("the field %q cannot be read as what it should be", Clip(where, maxShown))
		}
		return errors.New("the value is not of the right kind")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("the field %q occurs twice", Clip(e.JSONPointer.LastToken(), maxShown))
		}
		return fmt.Errorf("it is not one JSON value in UTF-8 (at byte %d)", e.ByteOffset)
	}
	return err
}

// FoldName folds a field name as readers do that ignore case, '_' and '-'.
//
// It maps to upper case first, because some letters have the same upper case, such as 's' and the long 's'.
func FoldName(name string) string { return strings.ToLower(strings.ToUpper(foldings.Replace(name))) }

var foldings = strings.NewReplacer("_", "", "-", "")

// fieldNames are the names of a struct's JSON fields.
type fieldNames struct {
	exact  map[string]reflect.Type
	folded map[string]string
}

var namesOfTypes sync.Map // reflect.Type to fieldNames

func namesOf(t reflect.Type) fieldNames {
	if known, ok := namesOfTypes.Load(t); ok {
		names, _ := known.(fieldNames)
		return names
	}
	names := fieldNames{exact: map[string]reflect.Type{}, folded: map[string]string{}}
	addNames(names, t)
	namesOfTypes.Store(t, names)
	return names
}

func addNames(names fieldNames, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "" && elem(field.Type).Kind() == reflect.Struct:
			addNames(names, elem(field.Type))
		case field.IsExported() && name != "-":
			if name == "" {
				name = field.Name
			}
			names.exact[name], names.folded[FoldName(name)] = field.Type, name
		}
	}
}

func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// checkSpelling reads one valid value and refuses names in it that nearly match those of the fields of t.
func checkSpelling(d *jsontext.Decoder, t reflect.Type) error {
	t = elem(t)
	switch kind := d.PeekKind(); {
	case kind == '{' && t.Kind() == reflect.Struct:
		return checkFields(d, namesOf(t))
	case kind == '{' && t.Kind() == reflect.Map:
		return checkMembers(d, t.Elem())
	case kind == '[' && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array):
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			if err := checkSpelling(d, t.Elem()); err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	}
	return d.SkipValue()
}

// checkMembers reads an object with arbitrary names and values of type t.
func checkMembers(d *jsontext.Decoder, t reflect.Type) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		if err := checkSpelling(d, t); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// checkFields reads an object with the fields of a struct.
func checkFields(d *jsontext.Decoder, names fieldNames) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		t, known := names.exact[name]
		if !known {
			if near, is := names.folded[FoldName(Visible(name))]; is {
				return fmt.Errorf("the field %q is nearly %q", Clip(name, maxShown), near)
			}
			err = d.SkipValue()
		} else {
			err = checkSpelling(d, t)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
