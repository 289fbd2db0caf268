package term

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/acebridge/ace/bridge"
)

// The values of --output.
const (
	OutputTable = "table"
	OutputJSON  = "json"
	outputYAML  = "yaml"
)

// Outputs lists the values of --output.
var Outputs = []string{OutputTable, OutputJSON, outputYAML}

// CheckOutput refuses an --output that there is not.
func (t *Terminal) CheckOutput() error {
	switch t.Output {
	case OutputTable, OutputJSON, outputYAML:
		return nil
	}
	asked := t.Output
	t.Output = OutputTable
	return Usage("--output %q is not table, json or yaml%s", asked, DidYouMean(asked, Outputs))
}

// Print writes a result: v as JSON or YAML when that was asked for, otherwise what table writes.
func (t *Terminal) Print(v any, table func(w io.Writer)) error {
	switch t.Output {
	case OutputJSON:
		encoder := json.NewEncoder(t.Out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(v)
	case outputYAML:
		return t.printYAML(v)
	}
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// printYAML goes through JSON, so that both have the same names and the same secrets in the clear.
func (t *Terminal) printYAML(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil { // JSON is YAML, and the order of the fields is kept
		return err
	}
	plainStyle(&node)
	encoder := yaml.NewEncoder(t.Out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

// plainStyle drops the flow style and the quotes of JSON; the encoder quotes again what needs it.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plainStyle(child)
	}
}

// Row writes one line of a table. What comes from a server may hold anything, so control characters, which could move
// the cursor or colour the terminal, are replaced.
func Row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = bridge.Printable(cell)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// When is a time as people read it, in the zone of this machine.
func When(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// Until is when for the end of something, in UTC as it is stored, which it says.
func Until(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// PrintableLines is printable for text that may have several lines.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = bridge.Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
