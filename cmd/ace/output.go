package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

var outputs = []string{outputTable, outputJSON, outputYAML}

func (a *app) checkOutput() error {
	switch a.output {
	case outputTable, outputJSON, outputYAML:
		return nil
	}
	asked := a.output
	a.output = outputTable
	return usage("--output %q is not table, json or yaml%s", asked, didYouMean(asked, outputs))
}

// print writes a result: v as JSON or YAML when that was asked for, otherwise what table writes.
func (a *app) print(v any, table func(w io.Writer)) error {
	switch a.output {
	case outputJSON:
		encoder := json.NewEncoder(a.out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(v)
	case outputYAML:
		return a.printYAML(v)
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// printYAML goes through JSON, so that both have the same names and the same secrets in the clear.
func (a *app) printYAML(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil { // JSON is YAML, and the order of the fields is kept
		return err
	}
	plainStyle(&node)
	encoder := yaml.NewEncoder(a.out)
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

// row writes one line of a table. What comes from a server may hold anything, so control characters, which could move
// the cursor or colour the terminal, are replaced.
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return '�'
		}
		return r
	}, s)
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// until is when for the end of something, in UTC as it is stored, which it says.
func until(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// printableLines is printable for text that may have several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
