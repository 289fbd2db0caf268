package web

import (
	"bytes"
	"encoding/xml"
	"errors"
	"html/template"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// halfHours makes moments of shares of uptime and states, one half hour each.
func halfHours(of ...Moment) []Moment {
	for i := range of {
		of[i].From = noon.Add(time.Duration(i) * 30 * time.Minute)
		of[i].Until = of[i].From.Add(30 * time.Minute)
	}
	return of
}

func TestStrip(t *testing.T) {
	up, down := Moment{Status: "online", Uptime: 1}, Moment{Status: "offline", Uptime: 0}
	s := NewStrip("Last 24 hours", halfHours(up, Moment{Status: "online", Uptime: 0.9996}, down, down,
		Moment{Status: "unauthorized", Uptime: 0}, Moment{Status: "unknown", Uptime: math.NaN()}, Moment{Uptime: math.NaN()}, up))
	var kinds, texts []string
	for _, c := range s.Cells {
		kinds, texts = append(kinds, c.Kind), append(texts, c.Text)
	}
	if diff := cmp.Diff([]string{cellUp, cellPartly, cellDown, cellDown, cellRefused, cellUnknown, cellNone, cellUp}, kinds); diff != "" {
		t.Error(diff)
	}
	if texts[0] != "21 Nov 12:00–12:30: online 100 %" || texts[1] != "21 Nov 12:30–13:00: online 99.9 %" || texts[6] != "21 Nov 15:00–15:30: no data" {
		t.Errorf("%q", texts)
	}
	if want := "Online 49.9 % of the time; offline 21 Nov 13:00–14:00, key refused 21 Nov 14:00–14:30."; s.Summary != want {
		t.Errorf("the summary is %q", s.Summary)
	}
	if len(s.Legend) != 6 || s.Width != 80 {
		t.Errorf("%d kinds are named, over a width of %d", len(s.Legend), s.Width)
	}
}

func TestStripOfDaysAndOfNothing(t *testing.T) {
	var days []Moment
	for i := range 12 {
		from := noon.Truncate(24*time.Hour).AddDate(0, 0, i)
		m := Moment{From: from, Until: from.Add(24 * time.Hour), Status: "online", Uptime: 1}
		if i%2 == 1 {
			m.Status, m.Uptime = "offline", 0
		}
		days = append(days, m)
	}
	if s := NewStrip("", days); s.Cells[1].Text != "22 Nov: offline" ||
		s.Summary != "Online 50.0 % of the time; offline 28 Nov, offline 30 Nov, offline 2 Dec, and 3 more before." {
		t.Errorf("%+v", s)
	}
	for _, none := range [][]Moment{nil, halfHours(Moment{}, Moment{Uptime: math.NaN()})} {
		if s := NewStrip("", none); s.Summary != "Nothing is known of this time." || s.Width <= 0 {
			t.Errorf("%+v", s)
		}
	}
	if s := NewStrip("", make([]Moment, 5000)); len(s.Cells) != maxMoments {
		t.Errorf("%d cells", len(s.Cells))
	}
}

func TestSpark(t *testing.T) {
	unknown := math.NaN()
	s := NewSpark("Latency", "ms", []float64{10, 20, unknown, 5, unknown, math.Inf(1), -3, 40, 0})
	want := Spark{Label: "Latency", Lines: []string{"3.0,34.5 32.2,24.0", "207.8,3.0 237.0,45.0"}, Dots: []Dot{{X: "90.8", Y: "39.8"}},
		Min: "0 ms", Max: "40 ms", Last: "0 ms", Text: "Latency: between 0 ms and 40 ms, 0 ms last"}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	for _, none := range [][]float64{nil, {}, {0, 0}, {unknown, -1}} {
		if s := NewSpark("Calls", "", none); !s.Empty || len(s.Lines)+len(s.Dots) != 0 {
			t.Errorf("%v: %+v", none, s)
		}
	}
	if s := NewSpark("Calls", "", []float64{7}); len(s.Dots) != 1 || s.Max != "7" {
		t.Errorf("%+v", s)
	}
	for v, text := range map[float64]string{0: "0", 980: "980", 9999: "9999", 12_345: "12.3 k", 4_500_000: "4.5 M", 45_000_000: "45.0 M"} {
		if got := amount(v, ""); got != text {
			t.Errorf("%v is written %q", v, got)
		}
	}
}

// drawn renders a part and checks that it is well-formed.
func drawn(t *testing.T, part string, view any) string {
	t.Helper()
	var buf bytes.Buffer
	parts := template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html"))
	if err := parts.ExecuteTemplate(&buf, part, view); err != nil {
		t.Fatal(err)
	}
	text := buf.String()
	for d := xml.NewDecoder(strings.NewReader("<all>" + text + "</all>")); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return text
		} else if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
}

// What others have written, such as a name, stays text.
func TestPartsOfHistory(t *testing.T) {
	const evil = `<script>alert(1)</script>" onload="x`
	strip := drawn(t, "strip", NewStrip(evil, halfHours(Moment{Status: evil, Uptime: 0.5}, Moment{Status: "offline"}, Moment{})))
	if strings.Count(strip, `class="cell`) != 3+3 || !strings.Contains(strip, "online 50.0 %") {
		t.Errorf("the strip is %s", strip)
	}
	spark := drawn(t, "spark", NewSpark(evil, evil, []float64{1, 2, math.NaN(), 3}))
	if !strings.Contains(spark, "<polyline") || !strings.Contains(spark, "lowest 1") {
		t.Errorf("the chart is %s", spark)
	}
	uses := drawn(t, "use", Uses{All: true, Items: []Use{{Who: evil, About: evil, Calls: 7, Latency: evil, Last: noon, Days: NewSpark(evil, "", []float64{1, 2})}}})
	for _, part := range []string{strip, spark, uses} {
		if strings.Contains(part, "<script") || strings.Contains(part, `" onload`) || strings.Contains(part, "NaN") || strings.Contains(part, "style=") {
			t.Errorf("it would run, or not be seen: %s", part)
		}
	}
	if none := drawn(t, "spark", NewSpark("Calls", "", nil)); strings.Contains(none, "<svg") {
		t.Errorf("nothing is drawn as %s", none)
	}
	if none := drawn(t, "use", Uses{}); !strings.Contains(none, "You have not used it") {
		t.Errorf("no use is shown as %s", none)
	}
}

// Whatever the numbers are, the points are numbers within the chart.
func FuzzSpark(f *testing.F) {
	f.Add(1.0, 2.0, 3.0)
	f.Add(math.NaN(), math.Inf(1), -1.0)
	f.Add(math.MaxFloat64, math.SmallestNonzeroFloat64, 0.0)
	f.Fuzz(func(t *testing.T, a, b, c float64) {
		s := NewSpark("", "", []float64{a, b, c})
		for _, points := range append(s.Lines, s.Min, s.Max, s.Last) {
			if strings.Contains(points, "NaN") || strings.Contains(points, "Inf") || strings.Contains(points, "-") {
				t.Errorf("%v %v %v: %q", a, b, c, points)
			}
		}
		moments := halfHours(Moment{Status: "online", Uptime: a}, Moment{Status: "offline", Uptime: b}, Moment{Uptime: c})
		if strip := NewStrip("", moments); strings.Contains(strip.Summary, "NaN") || strings.Contains(strip.Summary, "-") {
			t.Errorf("%v %v %v: %q", a, b, c, strip.Summary)
		}
	})
}
