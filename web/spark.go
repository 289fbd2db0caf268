package web

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Spark is a small chart of numbers over time: the part "spark".
type Spark struct {
	Label string
	Lines []string // the points of each line; what is unknown separates them
	Dots  []Dot    // numbers with nothing known beside them
	Min   string
	Max   string
	Last  string
	Text  string // what the chart shows, in words
	Empty bool   // there is nothing to draw
}

// Dot is a point of a chart.
type Dot struct{ X, Y string }

// The space of a chart; its lines keep away from the edges, so that they are not cut.
const (
	sparkWidth  = 240
	sparkHeight = 48
	sparkEdge   = 3
)

// NewSpark draws numbers, oldest first and of very many the last ones, with a space and a unit behind them where there is
// one. What is not a number, infinite or negative is unknown. A chart begins at 0, so that its heights can be compared.
func NewSpark(label, unit string, values []float64) Spark {
	values = values[max(0, len(values)-maxMoments):]
	s := Spark{Label: label, Empty: true}
	lowest, highest, last := math.Inf(1), 0.0, math.NaN()
	for _, v := range values {
		if known(v) {
			lowest, highest, last = min(lowest, v), max(highest, v), v
		}
	}
	if highest == 0 {
		s.Text = label + ": none"
		return s
	}
	s.Empty = false
	s.Min, s.Max, s.Last = amount(lowest, unit), amount(highest, unit), amount(last, unit)
	s.Text = label + ": between " + s.Min + " and " + s.Max + ", " + s.Last + " last"
	var line []Dot
	end := func() {
		switch len(line) {
		case 0:
		case 1:
			s.Dots = append(s.Dots, line[0])
		default:
			s.Lines = append(s.Lines, polyline(line))
		}
		line = nil
	}
	step := float64(sparkWidth-2*sparkEdge) / float64(max(1, len(values)-1))
	for i, v := range values {
		if !known(v) {
			end()
			continue
		}
		line = append(line, Dot{X: place(sparkEdge + float64(i)*step), Y: place(sparkHeight - sparkEdge - v/highest*(sparkHeight-2*sparkEdge))})
	}
	end()
	return s
}

func known(v float64) bool { return v >= 0 && !math.IsInf(v, 0) } // NaN is not

func place(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func polyline(dots []Dot) string {
	points := make([]string, len(dots))
	for i, d := range dots {
		points[i] = d.X + "," + d.Y
	}
	return strings.Join(points, " ")
}

// amount writes a number as people read it: 9800, 12.3 k, 4.5 M.
func amount(v float64, unit string) string {
	scale, most := "", 10_000.0
	for _, next := range []string{"k", "M", "G", "T"} {
		if v < most {
			break
		}
		v, scale, most = v/1000, " "+next, 1000
	}
	digits := 0
	if scale != "" {
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64) + scale
	if unit != "" {
		text += " " + unit
	}
	return text
}

// Uses is who has used a connection: the part "use".
type Uses struct {
	Items []Use
	All   bool // of everybody, and not only of who looks
	Some  bool // there may be more who have used it
}

// Use is how much a member has used a connection.
type Use struct {
	Who         string
	About       string // the role, or what they are instead
	Calls       int64
	Failures    int64
	Credentials int64
	Latency     string
	Last        time.Time
	Days        Spark
}

// Milliseconds writes a latency; nil is unknown.
func Milliseconds(ms *int64) string {
	if ms == nil {
		return "–"
	}
	return amount(float64(*ms), "ms")
}
