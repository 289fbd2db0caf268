package servers

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
)

const someKeyID = "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"

func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                           "plain",
		"two\nlines\t":                    "two lines",
		"run `rm`":                        "run 'rm'",
		"\u202egnp.exe\x00\x1b[31m":       "gnp.exe[31m",
		"broken \xff":                     "broken \ufffd",
		strings.Repeat("ä", 201):          strings.Repeat("ä", 200) + "…",
		strings.Repeat("\u202e", 1<<16):   "…",
		"<script>alert(1)</script> &amp;": "<script>alert(1)</script> &amp;", // the template escapes it
	} {
		if got := Shown(text); got != want {
			t.Errorf("%.40q is shown as %.40q", text, got)
		}
	}
}

func TestTidyCreated(t *testing.T) {
	key := bridge.NewKey(bridge.KindLive, uuid.MustParse(someKeyID))
	good := api.CreatedKey{Key: key.Text().Disclose(), APIKey: api.APIKey{KeyID: someKeyID}}
	another := good
	another.KeyID = "0190aaaa-bbbb-7ccc-8ddd-ffffffffffff"
	nothing := good
	nothing.Key = bridge.NewSecret("<b>").Disclose()
	for _, c := range []struct {
		name   string
		answer api.CreatedKey
		id     string
		ok     bool
	}{
		{"a new one", good, "", true}, {"the one that was asked for", good, someKeyID, true}, {"another than was asked for", good, another.KeyID, false},
		{"the secret of another", another, "", false}, {"no secret", nothing, "", false}, {"nothing", api.CreatedKey{}, "", false},
	} {
		if _, err := TidyCreated(c.answer, c.id); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestParseCatalogue(t *testing.T) {
	good, err := json.Marshal(catalogue.Builtin().File())
	if err != nil {
		t.Fatal(err)
	}
	padded := func(size int) string { return string(good) + strings.Repeat(" ", size-len(good)) }
	for _, c := range []struct{ raw, says string }{
		{padded(128 << 10), ""}, {padded(128<<10 + 1), "larger than 128 KiB"}, {`{"evil": 1}`, "not a catalogue"},
	} {
		declared, err := parseCatalogue([]byte(c.raw))
		if (err == nil) != (c.says == "") || declared.IsZero() != (err != nil) {
			t.Errorf("%d bytes: %v", len(c.raw), err)
		}
		if detail := bridge.AsError(err).Detail; err != nil && (!strings.Contains(detail, c.says) || strings.Contains(detail, "evil")) {
			t.Errorf("%d bytes: %q", len(c.raw), detail)
		}
	}
}

// FuzzServerKeys checks that, whatever a server sends as its list of keys, what is shown of it is bounded.
func FuzzServerKeys(f *testing.F) {
	f.Add(`{"items":[{"key_id":"` + someKeyID + `","name":"ci","scopes":["app:*"],"status":"active","last_used":{"at":"2026-01-01T00:00:00Z","address":"::1"}}],"next_cursor":"x"}`)
	f.Add(`{"items":[{"key_id":"` + someKeyID + `","name":"\u202e<script>","ended":{"reason":"a` + strings.Repeat("b", 300) + `"},"disabled":{}}],"next_cursor":"\u0000"}`)
	f.Add(`{"items":[{},{"key_id":"x"}]}`)
	f.Add(`{"items":[{"key_id":"{` + someKeyID + `}","allow_from":["` + strings.Repeat(`","`, 30) + `"]}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var list api.List[api.APIKey]
		if json.Unmarshal([]byte(raw), &list) != nil {
			return
		}
		keys, next := tidyKeys(list)
		if len(keys) > maxServerKeys || !bridge.PlainText(next, MaxServerCursor) {
			t.Fatalf("%d keys, and %q", len(keys), next)
		}
		for _, k := range keys {
			texts := slices.Concat([]string{k.KeyID, k.Prefix, k.Kind, k.Name, k.Description, k.Owner, k.Org, k.Status, k.CreatedBy, k.Rate}, k.Scopes, k.AllowFrom)
			if k.Ended != nil {
				texts = append(texts, k.Ended.Reason, k.Ended.By)
			}
			if len(k.KeyID) != 36 || k.Name == "" || len(k.Scopes) > maxServerScopes+1 {
				t.Fatalf("%+v", k)
			}
			for _, text := range texts {
				if utf8.RuneCountInString(text) > maxServerText+1 || !bridge.PlainText(text, 4*maxServerText+4) || strings.Contains(text, "`") {
					t.Fatalf("%q", text)
				}
			}
		}
	})
}
