package dashboard

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/auditlog"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/web"
)

// auditLog is the page of the organization's audit log, and the same as a tab of each connection.
type auditLog struct {
	page        *page.Writer
	tabs        *tabs
	accounts    *accounts.Store
	connections *connections.Store
}

func (a *auditLog) mount(e *echo.Echo) {
	e.GET("/audit", a.page.SignedIn(a.show))
	e.GET("/connections/:id/audit", a.page.SignedIn(a.showOfConnection))
}

// auditView is a page of the audit log with its filters. Each link carries the whole query, so that it can be shared.
type auditView struct {
	Path         string // of the page itself
	Connection   string // the connection that all entries are about; empty: the whole organization
	Entries      []auditLine
	Filter       map[string]string // as sent, by the names in [auditlog.Filters]
	Groups       []auditlog.Group
	OtherAction  string // an action in the filter that has no words
	OtherOutcome string // the code of a refusal in the filter
	Filtered     bool
	Paged        bool
	Newer, Older string // URLs
	CSV, JSONL   string // URLs; empty for people who may not export
	Error        string
}

type auditLine struct {
	ID               string
	At               time.Time
	Action           string // in words
	Actor, ActorURL  string
	Target           string
	TargetURL        string
	Done             bool
	Outcome, Address string
	Request          string
	RequestURL       string
	Details          []auditDetail
}

type auditDetail struct{ Name, Value string }

func (a *auditLog) show(ctx echo.Context, p accounts.Principal) error {
	view, status, err := a.view(ctx, p, auditView{Path: "/audit"})
	if err != nil {
		return err
	}
	return a.page.Render(ctx, status, "audit", web.Page{Title: "Audit log", Path: "/audit", User: page.User(p), View: view})
}

// mayReadAudit reports whether [connections.Store.ConnectionAudit] answers the principal.
func mayReadAudit(p accounts.Principal, connection api.Connection) bool {
	return p.Can("audit:read") || connection.Mine
}

type connectionAuditView struct {
	Frame frame
	Audit auditView
}

func (a *auditLog) showOfConnection(ctx echo.Context, p accounts.Principal) error {
	f, err := a.tabs.open(ctx, p, "audit")
	if err != nil {
		return err
	}
	view, status, err := a.view(ctx, p, auditView{Path: "/connections/" + f.Connection.ID + "/audit", Connection: f.Connection.ID})
	if err != nil {
		return err
	}
	return a.tabs.render(ctx, p, status, "connection_audit", f, connectionAuditView{Frame: f, Audit: view})
}

// read returns a page of entries, of the organization or of the view's connection.
func (a *auditLog) read(ctx context.Context, p accounts.Principal, v auditView, q audit.Query) ([]api.AuditEntry, string, error) {
	if v.Connection != "" {
		return a.connections.ConnectionAudit(ctx, p, v.Connection, q)
	}
	return a.accounts.Audit(ctx, p, q)
}

// view fills a page as its URL asks. A filter that cannot be read comes back with what is wrong with it.
func (a *auditLog) view(ctx echo.Context, p accounts.Principal, view auditView) (auditView, int, error) {
	view.Filter, view.Groups = map[string]string{}, auditlog.Groups
	for _, name := range auditlog.Filters {
		if value := strings.TrimSpace(ctx.QueryParam(name)); value != "" {
			view.Filter[name], view.Filtered = value, true
		}
	}
	if action := view.Filter["action"]; !auditlog.Known(action) {
		view.OtherAction = action
	}
	if outcome := view.Filter["outcome"]; outcome != audit.OK && outcome != audit.Refused {
		view.OtherOutcome = outcome
	}
	q, err := auditlog.Query(ctx)
	if err != nil {
		view.Error = page.Sentence(err)
		return view, http.StatusBadRequest, nil
	}
	q.Actor, q.Target, q.RequestID = person(strings.TrimSpace(q.Actor)), person(strings.TrimSpace(q.Target)), strings.TrimSpace(q.RequestID)
	q.After, q.Limit = ctx.QueryParam("after"), page.PageRows
	if view.Connection != "" {
		q.Target = "connection:" + view.Connection
	}
	entries, err := view.page(q, func(q audit.Query) ([]api.AuditEntry, string, error) {
		return a.read(ctx.Request().Context(), p, view, q)
	})
	if err != nil {
		return view, 0, err
	}
	if p.Can("audit:read") {
		view.CSV, view.JSONL = exportURL(q, view.Filter, "csv"), exportURL(q, view.Filter, "jsonl")
	}
	names, err := a.connections.ConnectionNames(ctx.Request().Context(), p, connectionsOf(entries))
	if err != nil {
		return view, 0, err
	}
	for _, e := range entries {
		view.Entries = append(view.Entries, view.line(e, names))
	}
	return view, http.StatusOK, nil
}

// person turns an e-mail address, as people type it, into the name of an actor or target.
func person(text string) string {
	if strings.Contains(text, "@") && !strings.Contains(text, ":") {
		return "user:" + text
	}
	return text
}

// page reads the entries of q and sets the links to newer and older ones. If less than a page is newer, it reads the newest
// page.
func (v *auditView) page(q audit.Query, read func(audit.Query) ([]api.AuditEntry, string, error)) ([]api.AuditEntry, error) {
	entries, next, err := read(q)
	if err != nil {
		return nil, err
	}
	if q.After != "" && next == "" {
		q.After, q.Before = "", ""
		if entries, next, err = read(q); err != nil {
			return nil, err
		}
	}
	if len(entries) == 0 {
		v.Paged = q.Before != ""
		return nil, nil
	}
	newest, oldest := entries[0].ID, entries[len(entries)-1].ID
	if q.Before != "" || q.After != "" {
		v.Newer = v.with("after", newest)
	}
	if next != "" || q.After != "" {
		v.Older = v.with("cursor", oldest)
	}
	return entries, nil
}

// with returns the page's URL with its filters and one more parameter.
func (v *auditView) with(name, value string) string {
	query := url.Values{}
	for name, value := range v.Filter {
		query.Set(name, value)
	}
	query.Set(name, value)
	return v.Path + "?" + query.Encode()
}

func (v *auditView) only(name, value string) string {
	if value == "" {
		return ""
	}
	return v.Path + "?" + url.Values{name: {value}}.Encode()
}

// exportURL returns the address that downloads all entries matching the filters.
func exportURL(q audit.Query, filter map[string]string, format string) string {
	query := url.Values{"format": {format}}
	for _, f := range []struct{ name, value string }{{"action", q.Action}, {"actor", q.Actor}, {"target", q.Target},
		{"outcome", q.Outcome}, {"request_id", q.RequestID}, {"from", filter["from"]}, {"to", filter["to"]}} {
		if f.value != "" {
			query.Set(f.name, f.value)
		}
	}
	return "/v1/audit/export?" + query.Encode()
}

func connectionsOf(entries []api.AuditEntry) []string {
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Target, "connection:"); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// line puts an entry into words; names holds the connections that the reader sees.
func (v *auditView) line(e api.AuditEntry, names map[string]string) auditLine {
	out := auditLine{ID: e.ID, At: e.At, Action: auditlog.ActionWords(e.Action), Actor: auditlog.ActorWords(e.Actor), ActorURL: v.only("actor", e.Actor),
		Target: e.Target, Done: e.Outcome == audit.OK, Outcome: e.Outcome, Address: e.Address, Request: e.RequestID,
		RequestURL: v.only("request_id", e.RequestID)}
	kind, id, _ := strings.Cut(e.Target, ":")
	switch kind {
	case "connection":
		out.Target = cmp.Or(names[id], e.Details["name"], e.Details["server_url"], id)
		if _, seen := names[id]; seen {
			out.TargetURL = "/connections/" + url.PathEscape(id)
		}
	case "key":
		out.Target, out.TargetURL = cmp.Or(e.Details["name"], id), "/keys#"+url.PathEscape(e.Target)
	case "user":
		out.Target, out.TargetURL = id, "/members#"+url.PathEscape(e.Target)
	case "provider":
		out.Target, out.TargetURL = "the sign-in provider", "/settings/provider"
	case "organization", "domain":
		out.Target = id
	case "session", "device", "invitation", "client":
		out.Target = kind
	}
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		if value := e.Details[name]; value != "" && value != out.Target {
			out.Details = append(out.Details, auditDetail{strings.ReplaceAll(name, "_", " "), value})
		}
	}
	return out
}
