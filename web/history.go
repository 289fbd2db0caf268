package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Moment is a piece of time in the history of a connection.
type Moment struct {
	From, Until time.Time
	Status      string  // online, offline, unauthorized or unknown, as it was most often; empty: nobody has looked
	Uptime      float64 // share of the time that it was online, 0 to 1; NaN: unknown
}

// The kinds of cells of a strip. Each has a shape of its own, besides its color.
const (
	cellUp      = "up"
	cellPartly  = "partly"
	cellRefused = "refused"
	cellDown    = "down"
	cellUnknown = "unknown"
	cellNone    = "none"
)

var cellNames = []struct{ Kind, Name string }{{cellUp, "online"}, {cellPartly, "online in part"}, {cellRefused, "key refused"},
	{cellDown, "offline"}, {cellUnknown, "not reachable from the cloud"}, {cellNone, "no data"}}

// Cell is one moment in a strip.
type Cell struct {
	X    int
	Kind string
	Text string
}

// Strip is a history as a row of cells: the part "strip". What it shows is in its summary as well.
type Strip struct {
	Label   string
	Cells   []Cell
	Width   int
	Legend  []Cell // a cell of each kind that occurs, named
	Summary string
	From    string // the ends of the axis
	Until   string
}

const (
	cellWidth  = 10
	maxMoments = 400
	maxOutages = 3 // that the summary lists
)

// NewStrip draws moments, oldest first; of very many the last ones.
func NewStrip(label string, moments []Moment) Strip {
	moments = moments[max(0, len(moments)-maxMoments):]
	s := Strip{Label: label, Width: max(1, len(moments)) * cellWidth}
	seen := map[string]bool{}
	for i, m := range moments {
		kind := m.kind()
		seen[kind] = true
		s.Cells = append(s.Cells, Cell{X: i * cellWidth, Kind: kind, Text: m.when() + ": " + m.how(kind)})
	}
	for _, k := range cellNames {
		if seen[k.Kind] {
			s.Legend = append(s.Legend, Cell{Kind: k.Kind, Text: k.Name})
		}
	}
	if len(moments) > 0 {
		s.From, s.Until = moments[0].begin(), "now (UTC)"
	}
	s.Summary = summary(moments)
	return s
}

func (m Moment) kind() string {
	switch {
	case m.Status == "":
		return cellNone
	case m.Uptime >= 1:
		return cellUp
	case m.Uptime > 0:
		return cellPartly
	case m.Status == "unauthorized":
		return cellRefused
	case m.Status == "offline":
		return cellDown
	}
	return cellUnknown
}

func (m Moment) how(kind string) string {
	if kind == cellUp || kind == cellPartly {
		return "online " + percent(m.Uptime)
	}
	for _, k := range cellNames {
		if k.Kind == kind {
			return k.Name
		}
	}
	return ""
}

// wholeDays reports whether the moment is that of days rather than of hours.
func (m Moment) wholeDays() bool { return m.Until.Sub(m.From) >= 24*time.Hour }

func (m Moment) begin() string {
	if m.wholeDays() {
		return m.From.UTC().Format("2 Jan")
	}
	return m.From.UTC().Format("2 Jan 15:04")
}

func (m Moment) when() string {
	if m.wholeDays() {
		return m.begin()
	}
	return m.begin() + "–" + m.Until.UTC().Format("15:04")
}

// percent never says 100 % of what is less.
func percent(share float64) string {
	switch {
	case math.IsNaN(share):
		return "unknown"
	case share >= 1:
		return "100 %"
	}
	const tenths = 1000
	return strconv.FormatFloat(math.Floor(max(0, share)*tenths)/10, 'f', 1, 64) + " %"
}

// summary says in words what a strip shows.
func summary(moments []Moment) string {
	sum, known := 0.0, 0
	var outages []string
	for i := 0; i < len(moments); i++ {
		kind := moments[i].kind()
		if kind != cellNone && kind != cellUnknown {
			if up := moments[i].Uptime; up > 0 { // NaN is not
				sum += min(1, up)
			}
			known++
		}
		if kind != cellDown && kind != cellRefused {
			continue
		}
		outage := moments[i]
		for i+1 < len(moments) && moments[i+1].kind() == kind { // one after the other is one
			i++
			outage.Until = moments[i].Until
			known++
		}
		outages = append(outages, outage.how(kind)+" "+outage.span(moments[i]))
	}
	if known == 0 {
		return "Nothing is known of this time."
	}
	text := "Online " + percent(sum/float64(known)) + " of the time"
	if len(outages) > maxOutages {
		more := len(outages) - maxOutages
		outages = append(outages[len(outages)-maxOutages:], fmt.Sprintf("and %d more before", more))
	}
	if len(outages) > 0 {
		text += "; " + strings.Join(outages, ", ")
	}
	return text + "."
}

// span is the time from a moment's begin to the end of the last moment of the same kind.
func (m Moment) span(last Moment) string {
	switch {
	case !last.wholeDays():
		return m.begin() + "–" + last.Until.UTC().Format("15:04")
	case last.From.After(m.From):
		return m.begin() + "–" + last.begin()
	}
	return m.begin()
}
