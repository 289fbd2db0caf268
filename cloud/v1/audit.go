package v1

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/auditlog"
	"github.com/acebridge/ace/cloud/who"
)

// auditAPI answers and exports the audit log.
type auditAPI struct {
	who      *who.Finder
	accounts *accounts.Store
	now      func() time.Time
	log      *slog.Logger
}

func (a *auditAPI) mount(e *echo.Echo) {
	e.GET("/v1/audit", a.who.RequireScope("audit:read", a.list))
	e.GET("/v1/audit/export", a.who.RequireScope("audit:read", a.export))
}

func (a *auditAPI) list(ctx echo.Context, p accounts.Principal) error {
	q, err := auditlog.Query(ctx)
	if err != nil {
		return err
	}
	entries, next, err := a.accounts.Audit(ctx.Request().Context(), p, q)
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, api.List[api.AuditEntry]{Items: entries, NextCursor: next})
}

// exportPage is how many entries of an export are held in memory.
const exportPage = 500

// export streams the entries that the filters select, newest first, as JSON Lines or CSV. The export itself is recorded in
// the audit log before its first line leaves.
func (a *auditAPI) export(ctx echo.Context, p accounts.Principal) error {
	q, err := auditlog.Query(ctx)
	if err != nil {
		return err
	}
	format := ctx.QueryParam("format")
	if format == "" {
		format = "csv"
	}
	mediaType, known := map[string]string{"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl; charset=utf-8"}[format]
	if !known {
		return bridge.E(bridge.Invalid, bridge.CodeFormatUnknown, "the format is csv or jsonl")
	}
	r := ctx.Request()
	q.Limit = exportPage
	entries, next, err := a.accounts.Audit(r.Context(), p, q)
	if err != nil {
		return err
	}
	details := map[string]string{"format": format}
	for _, name := range append([]string{"cursor"}, auditlog.Filters...) {
		if value := ctx.QueryParam(name); value != "" {
			details[name] = value
		}
	}
	if err := a.accounts.Note(r.Context(), who.Actor(ctx, p), "audit.export", "organization:"+p.Org, details); err != nil {
		return err
	}
	w := ctx.Response()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s-%s.%s"`, p.Org, a.now().UTC().Format("20060102T150405Z"), format))
	w.WriteHeader(http.StatusOK)
	write := newExport(w, format)
	for {
		if err := write(entries); err != nil {
			return err // the client is gone
		}
		if next == "" {
			return nil
		}
		q.Before = next
		if entries, next, err = a.accounts.Audit(r.Context(), p, q); err != nil {
			a.log.Warn("an export of the audit log broke off", "request_id", api.RequestID(r), "error", err)
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}
}

// newExport returns a function that writes pages of entries in a format.
func newExport(w io.Writer, format string) func([]api.AuditEntry) error {
	if format == "jsonl" {
		encoder := json.NewEncoder(w)
		return func(page []api.AuditEntry) error {
			for _, e := range page {
				if err := encoder.Encode(e); err != nil {
					return err
				}
			}
			return nil
		}
	}
	lines := csv.NewWriter(w)
	lines.UseCRLF = true // RFC 4180 section 2
	header := []string{"at", "id", "org", "actor", "action", "target", "outcome", "address", "request_id", "details"}
	return func(page []api.AuditEntry) error {
		if header != nil {
			_ = lines.Write(header) // Error below has it
			header = nil
		}
		for _, e := range page {
			details, err := json.Marshal(e.Details)
			if err != nil {
				return err
			}
			cells := []string{e.At.UTC().Format(time.RFC3339), e.ID, e.Org, e.Actor, e.Action, e.Target, e.Outcome, e.Address, e.RequestID, string(details)}
			for i := range cells {
				cells[i] = harmless(cells[i])
			}
			_ = lines.Write(cells)
		}
		lines.Flush()
		return lines.Error()
	}
}

// harmless keeps spreadsheets from reading a cell as a formula: cells hold text that others wrote.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
