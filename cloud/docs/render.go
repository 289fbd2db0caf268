package docs

import (
	"bytes"
	"html/template"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	papers "github.com/acebridge/ace/docs"
)

// document is a page, ready to be written.
type document struct {
	title    string
	markdown string
	body     template.HTML
}

// rendered holds all pages by name. They are embedded, so what is wrong with one is found by a test.
var rendered = sync.OnceValue(func() map[string]document {
	out := map[string]document{}
	for _, e := range entries {
		raw, err := papers.Files.ReadFile(e.Name + ".md")
		if err != nil {
			panic(err) // it is embedded
		}
		out[e.Name] = document{title: e.Title, markdown: string(raw), body: toHTML(raw)}
	}
	return out
})

// markdown renders without the HTML that a page holds: goldmark leaves that out unless it is told otherwise.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table),
	goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(served{}, 500))))

func toHTML(raw []byte) template.HTML {
	var b bytes.Buffer
	if err := markdown.Convert(raw, &b); err != nil {
		panic(err) // a buffer takes everything
	}
	return template.HTML(b.String()) //nolint:gosec // made of an embedded page, without the HTML in it
}

// served changes a page for where it is served: links lead to /docs, comments are dropped, and the cells of a table know their
// column, which narrow windows show.
type served struct{}

// Transform implements [parser.ASTTransformer].
func (served) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var links []*ast.Link
	var dropped []ast.Node
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			links = append(links, n)
		case *ast.HTMLBlock, *ast.RawHTML:
			dropped = append(dropped, n)
		case *extast.Table:
			labelCells(n, reader.Source())
		}
		return ast.WalkContinue, nil
	})
	for _, n := range dropped {
		n.Parent().RemoveChild(n.Parent(), n)
	}
	for _, link := range links {
		if to, ok := target(string(link.Destination)); ok {
			link.Destination = []byte(to)
			continue
		}
		for link.FirstChild() != nil {
			link.Parent().InsertBefore(link.Parent(), link, link.FirstChild())
		}
		link.Parent().RemoveChild(link.Parent(), link)
	}
}

// target is where a link of a page leads when it is served; false for a file that a cloud does not serve.
func target(link string) (string, bool) {
	file, anchor, _ := strings.Cut(link, "#")
	if anchor != "" {
		anchor = "#" + anchor
	}
	name, isPage := strings.CutSuffix(file, ".md")
	switch {
	case strings.Contains(file, "://"), strings.HasPrefix(file, "mailto:"), file == "":
		return link, true
	case isPage && !strings.Contains(name, "/"):
		return "/docs/" + name + anchor, true
	}
	return "", false
}

// labelCells gives each cell of a table the text of its column's head.
func labelCells(table *extast.Table, source []byte) {
	var heads [][]byte
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		i := 0
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			if row.Kind() == extast.KindTableHeader {
				heads = append(heads, plain(cell, source))
			} else if i < len(heads) {
				cell.SetAttributeString("data-label", heads[i])
			}
			i++
		}
	}
}

// plain is the text of a node without its marks.
func plain(n ast.Node, source []byte) []byte {
	var b bytes.Buffer
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.Bytes()
}
