package bridge_test

import (
	"testing"

	"github.com/acebridge/ace/bridge"
)

func TestPlainText(t *testing.T) {
	for s, plain := range map[string]bool{
		"": true, "ci": true, "Zürich – prod": true, "שלום": true, "👩\u200d💻": true, "نام\u200cه": true,
		"a\nb": false, "a\x00": false, "\x7f": false, "\u0085": false, "\xff": false,
		"ci\u202etxt": false, "\u202a": false, "\u202b": false, "\u202c": false, "\u202d": false,
		"\u2066a\u2069": false, "\u2067": false, "\u2068": false, "\u200e": false, "\u200f": false, "\u061c": false,
		"a\u2028b": false, "a\u2029b": false, "12345678901234567": false,
	} {
		if bridge.PlainText(s, 16) != plain {
			t.Errorf("%q: not %t", s, plain)
		}
	}
}
