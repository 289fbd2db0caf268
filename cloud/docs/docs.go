package docs

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/web"
)

// Mount mounts the pages and the list for programs.
func (d *Docs) Mount(e *echo.Echo) {
	e.GET("/docs", d.list)
	e.GET("/docs/:name", d.page)
	e.GET("/llms.txt", d.llms)
}

// view is what the template is given. Without a body it lists the pages.
type view struct {
	Pages []entry
	Name  string // of the page that is open
	Body  template.HTML
}

func (d *Docs) list(ctx echo.Context) error {
	return d.render(ctx, "Documentation", view{Pages: entries})
}

// page answers a page, or its Markdown to a program that asks for it.
func (d *Docs) page(ctx echo.Context) error {
	name, markdown := strings.CutSuffix(ctx.Param("name"), ".md")
	p, ok := rendered()[name]
	if !ok {
		return bridge.E(bridge.NotFound, bridge.CodeNotFound, "there is no page %.40q in the documentation", name).
			WithHint("/docs lists the pages")
	}
	ctx.Response().Header().Add("Vary", "Accept")
	if markdown || acceptsMarkdown(ctx.Request().Header.Get("Accept")) {
		return plainText(ctx, "text/markdown; charset=utf-8", p.markdown)
	}
	return d.render(ctx, p.title, view{Pages: entries, Name: name, Body: p.body})
}

func (d *Docs) llms(ctx echo.Context) error {
	return plainText(ctx, "text/plain; charset=utf-8", list(func(name string) string { return d.cfg.PublicURL.Join("/docs/" + name + ".md") }))
}

// render writes a page with the menu of the person who is signed in, if anybody is.
func (d *Docs) render(ctx echo.Context, title string, v view) error {
	out := web.Page{Title: title, Path: "/docs", View: v}
	if p, signedIn, err := d.cfg.Who.Visitor(ctx); err == nil && signedIn {
		out.User = page.User(p)
	}
	return d.cfg.Page.Render(ctx, http.StatusOK, "docs", out)
}

func plainText(ctx echo.Context, mediaType, body string) error {
	ctx.Response().Header().Set("Cache-Control", "no-cache")
	return ctx.Blob(http.StatusOK, mediaType, []byte(body))
}

// acceptsMarkdown tells whether a request names Markdown and no page: browsers name text/html, and most programs anything.
func acceptsMarkdown(accept string) bool {
	return strings.Contains(accept, "text/markdown") && !strings.Contains(accept, "text/html")
}
