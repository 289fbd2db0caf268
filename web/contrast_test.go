package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance is the relative luminance of a colour, as WCAG 2.2 defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("%q is no colour", hex)
	}
	channel := func(c uint64) float64 {
		s := float64(c&0xff) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
}

// Text stands out from whatever it stands on by 4.5:1, and the border of a control by 3:1 (WCAG 2.2 AA), in both themes.
func TestContrast(t *testing.T) {
	themes := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);`).FindAllStringSubmatch(string(assets()["ace.css"].plain), -1) {
		themes[m[1]] = [2]string{m[2], m[3]}
	}
	check := func(front, back string, least float64) {
		t.Helper()
		for i, theme := range []string{"light", "dark"} {
			a, b := luminance(t, themes[front][i]), luminance(t, themes[back][i])
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < least {
				t.Errorf("%s on %s, %s: %.2f:1, and at least %.1f:1 is needed", front, back, theme, ratio, least)
			}
		}
	}
	for _, back := range []string{"bg", "card"} {
		for _, front := range []string{"text", "soft", "accent", "good", "bad", "warn"} {
			check(front, back, 4.5)
		}
		check("control", back, 3)
	}
	check("on-accent", "accent", 4.5)
	check("card", "soft", 3) // the knob of a switch
	check("card", "good", 3)
}

// Sizes of text are those of the scale, and colours those of the themes.
func TestScales(t *testing.T) {
	css := string(assets()["ace.css"].plain)
	for _, m := range regexp.MustCompile(`font-size: ([^;]+);`).FindAllStringSubmatch(css, -1) {
		if !strings.HasPrefix(m[1], "var(--text-") && m[1] != "0.9375em" { // code within a line
			t.Errorf("a size of text outside the scale: %s", m[1])
		}
	}
	outside := regexp.MustCompile(`light-dark\([^)]*\)`).ReplaceAllString(css, "")
	for _, m := range regexp.MustCompile(`#[0-9a-f]{3,8}\b`).FindAllString(outside, -1) {
		t.Errorf("the colour %s is none of a theme", m)
	}
}
