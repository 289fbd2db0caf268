package term

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
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

const (
	outputWide = "wide"
	wideMark   = "wide" // the annotation of commands that take it
)

// WithWide makes a command take -o wide, for which [Terminal.Wide] is set.
func WithWide(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{wideMark: ""}
	return cmd
}

// OutputsOf lists the values of --output that a command takes.
func OutputsOf(cmd *cobra.Command) []string {
	if _, wide := cmd.Annotations[wideMark]; wide {
		return append(slices.Clone(Outputs), outputWide)
	}
	return Outputs
}

// CheckOutput refuses a value of --output that a command does not take.
func (t *Terminal) CheckOutput(cmd *cobra.Command) error {
	taken, asked := OutputsOf(cmd), t.Output
	if !slices.Contains(taken, asked) {
		t.Output = OutputTable
		if asked == outputWide {
			return Usage("%s has no wide table", cmd.CommandPath()).WithHint("leave out -o wide, or use -o json; ace connections list -o wide has one")
		}
		return Usage("--output %q is not table, json or yaml%s", asked, DidYouMean(asked, taken))
	}
	if t.Wide = asked == outputWide; t.Wide {
		t.Output = OutputTable
	}
	return nil
}

// Print writes a result to stdout. With -o json or yaml it writes v, otherwise what table writes.
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

// printYAML converts v by way of JSON. So both formats have the same names and the same secrets in the clear.
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

// plainStyle drops JSON's flow style and quotes. The encoder quotes again where YAML needs it.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plainStyle(child)
	}
}

// Row writes one line of a table. It replaces control characters, which could move the cursor or colour the terminal: what
// comes from a server may hold anything.
func Row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = bridge.Printable(cell)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// When writes a time for people, in this machine's time zone.
func When(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// Until writes the end of something for people, in UTC. It names the zone, since ends are stored and enforced in UTC.
func Until(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// PrintableLines makes text of several lines printable.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = bridge.Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
