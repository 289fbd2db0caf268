package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/preview"
	"github.com/acebridge/ace/cloud/servers"
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

// sharing is the tab where admins say who may use a connection, and how much of it.
type sharing struct {
	page        *page.Writer
	tabs        *tabs
	connections *connections.Store
	history     *connections.History
	servers     *servers.Servers
}

func (s *sharing) mount(e *echo.Echo) {
	e.GET("/connections/:id/sharing", s.page.SignedIn(s.show))
	e.POST("/connections/:id/sharing/:action", s.page.SignedIn(s.change))
	e.POST("/connections/:id/sharing/members/:user", s.page.SignedIn(s.changeMember))
}

type sharingView struct {
	Frame   frame
	Sharing api.Sharing
	Cursor  string
	Edit    bool     // the reader may change it
	Plain   bool     // its key is plain, and cannot be limited
	Ask     bool     // asks whether to stop sharing
	Ends    endsView // what that ends
	Ceiling choice
	Members []sharerView
	Uses    web.Uses
	Error   string
}

// sharerView is a member with the form that changes their limit.
type sharerView struct {
	api.SharingMember
	Label  string
	Me     bool
	Plain  bool // see sharingView
	Open   bool // the form is shown
	Choice choice
}

// choice is a select of what somebody may do; one of its options has a field for scopes.
type choice struct {
	For, First string // what it is about, and the label of its first option
	Options    []option
	Scopes     string
	Focus      bool // the page was opened for it
}

type option struct {
	Value, Label string
	Selected     bool
}

// Typed reports whether scopes can be typed.
func (c choice) Typed() bool {
	return slices.ContainsFunc(c.Options, func(o option) bool { return o.Value == chooseScopes })
}

// The values of a choice; a preset's is followed by its name.
const (
	chooseNone   = "none"
	chooseScopes = "scopes"
	choosePreset = "preset:"
)

// newChoice offers presets and scopes, with the current limit selected.
func newChoice(what, first string, presets []string, plain bool, preset string, scopes []string) choice {
	out := choice{For: what, First: first, Scopes: strings.Join(scopes, " ")}
	if preset != "" && !slices.Contains(presets, preset) {
		presets = append(slices.Clone(presets), preset)
	}
	if plain {
		return out
	}
	for _, name := range presets {
		out.Options = append(out.Options, option{Value: choosePreset + name, Label: "preset " + name, Selected: name == preset && scopes != nil})
	}
	out.Options = append(out.Options, option{Value: chooseScopes, Label: "the scopes below", Selected: preset == "" && scopes != nil})
	return out
}

// sent keeps what was chosen in a form that failed.
func (c choice) sent(r *http.Request) choice {
	c.Scopes = r.PostForm.Get("scopes")
	for i := range c.Options {
		c.Options[i].Selected = c.Options[i].Value == r.PostForm.Get("to")
	}
	return c
}

// chosen reads the choice of a form: full, none, or limited to a ceiling.
func chosen(r *http.Request) (access string, to api.Ceiling) {
	what := r.PostForm.Get("to")
	if name, ok := strings.CutPrefix(what, choosePreset); ok {
		return connections.AccessLimited, api.Ceiling{Preset: name}
	}
	switch what {
	case chooseScopes:
		return connections.AccessLimited, api.Ceiling{Scopes: strings.Fields(r.PostForm.Get("scopes"))}
	case chooseNone:
		return connections.AccessNone, api.Ceiling{}
	}
	return connections.AccessFull, api.Ceiling{}
}

func (s *sharing) show(ctx echo.Context, p accounts.Principal) error {
	return s.render(ctx, http.StatusOK, p, "")
}

func (s *sharing) render(ctx echo.Context, status int, p accounts.Principal, failed string) error {
	f, err := s.tabs.open(ctx, p, "sharing")
	if err != nil {
		return err
	}
	view := sharingView{Frame: f, Error: failed, Cursor: ctx.QueryParam("cursor"), Plain: f.Connection.KeyID == "", Edit: p.Can("connection:share") && !f.Left, Ask: ctx.QueryParam("ask") == "off"}
	if view.Sharing, err = s.connections.Sharing(ctx.Request().Context(), p, f.Connection.ID, view.Cursor, page.PageRows); err != nil {
		return err
	}
	if view.Ask && view.Edit && f.Connection.Visibility == connections.Organization {
		ends, err := s.servers.EndsOfPatch(ctx, p, f.Connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
		if err != nil {
			return err
		}
		view.Ends = endsOf(ends, "")
	}
	if view.Uses, err = s.uses(ctx.Request().Context(), p, f.Connection); err != nil {
		return err
	}
	of, r := &view.Sharing, ctx.Request()
	view.Ceiling = newChoice("members", "no ceiling: everything their role allows", of.Presets, view.Plain, of.CeilingPreset, of.Ceiling)
	if failed != "" && ctx.Param("action") == "ceiling" {
		view.Ceiling = view.Ceiling.sent(r)
	}
	for _, m := range of.Members {
		view.Members = append(view.Members, view.member(p, m, r, failed != "" && ctx.Param("user") == m.UserID))
	}
	return s.tabs.render(ctx, p, status, "connection_sharing", f, view)
}

// member returns a row of the list, with its form if it was asked for or has failed.
func (v sharingView) member(p accounts.Principal, m api.SharingMember, r *http.Request, failed bool) sharerView {
	one := sharerView{SharingMember: m, Label: sharerName(m), Me: m.UserID == p.UserID, Plain: v.Plain,
		Open: failed || r.URL.Query().Get("change") == m.UserID}
	if !one.Open {
		return one
	}
	one.Choice = newChoice(one.Label, "as all others", v.Sharing.Presets, v.Plain, m.Preset, m.Ceiling)
	one.Choice.Options = append(one.Choice.Options, option{Value: chooseNone, Label: "nothing", Selected: m.Access == connections.AccessNone})
	one.Choice.Focus = true
	if failed {
		one.Choice = one.Choice.sent(r)
	}
	return one
}

func sharerName(m api.SharingMember) string {
	if m.Name != "" {
		return m.Name
	}
	return m.Email
}

// People says how many would lose access.
func (v sharingView) People() string {
	if v.Sharing.People == 1 {
		return "1 person"
	}
	return strconv.Itoa(v.Sharing.People) + " people"
}

// fail shows the page again with the reason for a refusal.
func (s *sharing) fail(ctx echo.Context, p accounts.Principal, err error) error {
	if who.Ours(err) || bridge.AsError(err).Kind == bridge.NotFound {
		return err
	}
	return s.render(ctx, api.Status(err), p, page.Sentence(err))
}

func sharingDone(ctx echo.Context, what string) error {
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+ctx.Param("id")+"/sharing?done="+what)
}

// change switches sharing, sets the ceiling, or reads the server's presets again.
func (s *sharing) change(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	var patch api.ConnectionPatch
	done := ""
	switch ctx.Param("action") {
	case "on":
		patch.Visibility, done = new(connections.Organization), "shared"
	case "off":
		if ctx.Request().PostForm.Get("sure") != "yes" {
			return s.fail(ctx, p, page.ErrNotSure)
		}
		patch.Visibility, done = new(connections.Private), "unshared"
	case "ceiling":
		done = "ceiling-lifted"
		patch.Ceiling.Given = true
		if access, to := chosen(ctx.Request()); access == connections.AccessLimited {
			patch.Ceiling.To, done = &to, "ceiling"
			if asked, err := s.askCeiling(ctx, p, patch); asked || err != nil {
				return err
			}
		}
	case "presets":
		if err := s.servers.ReadPresets(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
			return s.fail(ctx, p, err)
		}
		return sharingDone(ctx, "presets")
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if _, err := s.servers.ChangeConnectionTo(ctx, p, ctx.Param("id"), patch); err != nil {
		return s.fail(ctx, p, err)
	}
	return sharingDone(ctx, done)
}

// askCeiling asks for confirmation if a ceiling takes something away.
func (s *sharing) askCeiling(ctx echo.Context, p accounts.Principal, patch api.ConnectionPatch) (asked bool, err error) {
	if ctx.Request().PostForm.Get("sure") == "yes" {
		return false, nil
	}
	found, err := s.servers.FoundOfPatch(ctx, p, ctx.Param("id"), patch)
	if err != nil {
		return true, s.fail(ctx, p, err)
	}
	return s.askLess(ctx, p, "Set the ceiling", found)
}

// changeMember sets or lifts the limit of one member.
func (s *sharing) changeMember(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	id, user := ctx.Param("id"), ctx.Param("user")
	access, to := chosen(ctx.Request())
	var err error
	if access == connections.AccessFull {
		_, err = s.servers.UnlimitMember(ctx, p, id, user)
	} else if limit := (api.MemberLimit{Access: access, Ceiling: to}); ctx.Request().PostForm.Get("sure") != "yes" {
		var found preview.Ends
		if found, err = s.servers.FoundOfLimit(ctx, p, id, user, limit); err == nil {
			asked, err := s.askLess(ctx, p, "Limit "+cmp.Or(found.Member.Name, found.Member.Email), found)
			if asked || err != nil {
				return err
			}
		}
	}
	if err == nil && access != connections.AccessFull {
		_, err = s.servers.LimitMember(ctx, p, id, user, api.MemberLimit{Access: access, Ceiling: to})
	}
	if err != nil {
		return s.fail(ctx, p, err)
	}
	return sharingDone(ctx, "member-limit")
}

// askLess asks for confirmation if a lower limit or ceiling ends anything; asked reports whether a response was written.
func (s *sharing) askLess(ctx echo.Context, p accounts.Principal, title string, found preview.Ends) (asked bool, err error) {
	if len(found.Here) == 0 && len(found.Holders) == 0 {
		return false, nil
	}
	ends := api.Ends{Servers: s.servers.EndsOnServers(ctx, p, found)}
	ends.Add(found.Here...)
	view := endsOf(ends, "")
	r := ctx.Request()
	return true, askSure(ctx, s.page, p, "/connections", sureView{Title: title, Heading: "What ends or is limited", Ends: view,
		Lead:   []string{"This counts at once, even for open streams. People who keep access get new access tokens with less."},
		Action: r.URL.Path, Back: "/connections/" + ctx.Param("id") + "/sharing", Box: "Yes, that is meant", Button: "Save",
		Fields: []field{{"to", r.PostForm.Get("to")}, {"scopes", r.PostForm.Get("scopes")}}})
}

// uses lists who has used a connection: everybody for its owner and admins, else only the reader.
func (s *sharing) uses(ctx context.Context, p accounts.Principal, connection api.Connection) (web.Uses, error) {
	const shown = 20
	uses, err := s.history.MemberUses(ctx, p, connection.ID, shown)
	if err != nil {
		return web.Uses{}, err
	}
	out := web.Uses{All: connection.Mine || p.Can("connection:manage"), Some: len(uses) == shown}
	for _, u := range uses {
		use := web.Use{Who: u.Email, About: u.Role, Calls: u.Calls, Failures: u.Failures, Credentials: u.Credentials,
			Latency: web.Milliseconds(u.CallMS), Last: u.LastUsedAt}
		switch {
		case strings.HasPrefix(u.Email, "key:"):
			use.Who, use.About = strings.TrimPrefix(u.Email, "key:"), "API key "+u.Name
		case u.Role == "":
			use.About = "no member any more"
		}
		days := make([]float64, len(u.Days))
		for i, n := range u.Days {
			days[i] = float64(n)
		}
		use.Days = web.NewSpark("Uses by day", "", days)
		out.Items = append(out.Items, use)
	}
	return out, nil
}
