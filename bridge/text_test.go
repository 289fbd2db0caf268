package bridge

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func wide(s string, big bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return b.String()
}

func TestOutsideText(t *testing.T) {
	for raw, want := range map[string]string{"": "", "x": "x", " x\r\n": "x", "\ufeffx\n": "x", "\n\ufeff x\ufeff\t": "x", "\u00a0x\u2028": "x", "a b\nc": "a b\nc"} {
		if got, err := OutsideText(raw); err != nil || got != want {
			t.Errorf("%q: %q %v", raw, got, err)
		}
	}
	const canary = "canary-secret"
	for raw, want := range map[string]string{wide("\ufeff"+canary, false): "UTF-16", wide("\ufeff"+canary, true): "UTF-16", wide(canary, false): "UTF-16", wide(canary, true): "UTF-16",
		canary + "\xe9": "UTF-8", canary + "\x00x": "NUL"} {
		got, err := OutsideText(raw)
		if err == nil || got != "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %q %v", raw, got, err)
		}
	}
}

func TestPlainText(t *testing.T) {
	for _, good := range []string{"", "build bot", "Zoë", "naïve — “quoted”", "می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "❤\ufe0f", "日本語　名", "עברית", "مرحبا"} {
		if !PlainText(good, 100) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"a\nb", "a\x00", "a\x7f", "a\u0085", "evil\u202egnp", "\u2066a\u2069", "\u200eadmin", "\u061ca", "ad\u200bmin", "ad\u200dmin", "admin\u200d", "\u200cx", "ad\u00admin",
		"\ufeffa", "a\u2060b", "a\u2028b", "a\u2029b", "a\U000e0041", "\u3164", "a\u034fb", "é\u200d", "é\u200d\u200dé", "\ufff9a", "\xff", "a\ue000", "\ufdd0"} {
		if PlainText(bad, 100) {
			t.Errorf("%q passes", bad)
		}
	}
	if PlainText("abc", 2) || OneForm("e\u0301") != "é" {
		t.Error("length or form")
	}
}

func FuzzOutsideText(f *testing.F) {
	f.Add("\ufeff x\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := OutsideText(raw)
		if err != nil {
			return
		}
		if again, err := OutsideText(got); err != nil || again != got || !utf8.ValidString(got) {
			t.Errorf("%q: %q, then %q %v", raw, got, again, err)
		}
	})
}

// TestShellWord checks that a shell reads a quoted text unchanged.
func TestShellWord(t *testing.T) {
	for _, text := range []string{"", "plain", "two words", "it's", "$(id) `id` $HOME", `"a" \ b`, "'; id; '", "* ~ #x !y\nz", "it's $(id)", "a;b&c|d>e"} {
		t.Run(text, func(t *testing.T) {
			read, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+ShellWord(text)).Output() //nolint:gosec // the point of the test
			if err != nil || string(read) != text {
				t.Errorf("%s is read as %q (%v)", ShellWord(text), read, err)
			}
		})
	}
}
