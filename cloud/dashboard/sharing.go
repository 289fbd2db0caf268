package dashboard

import (
	"cmp"
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
	"github.com/acebridge/ace/cloud/who"
	"github.com/acebridge/ace/web"
)

func (d *Dashboard) routeSharingPages(e *echo.Echo) {
	e.GET("/connections/:id/sharing", d.page.SignedIn(d.sharingPage))
	e.POST("/connections/:id/sharing/:action", d.page.SignedIn(d.changeSharing))
	e.POST("/connections/:id/sharing/members/:user", d.page.SignedIn(d.changeSharer))
}

type sharingView struct {
	Frame   frame
	Sharing api.Sharing
	Cursor  string
	Edit    bool     // who looks may change it
	Plain   bool     // its key is a plain one, for which there are no limits
	Ask     bool     // whether to stop sharing
	Ends    endsView // what that ends
	Ceiling choice
	Members []sharerView
	Uses    web.Uses
	Error   string
}

// sharerView is a member with the form that changes what they may.
type sharerView struct {
	api.SharingMember
	Label  string
	Me     bool
	Plain  bool // see sharingView
	Open   bool // the form is shown
	Choice choice
}

// choice is a select of what somebody may do, with scopes to type for one of its options.
type choice struct {
	For, First string // whom or what it is about, and what its first option is called
	Options    []option
	Scopes     string
	Focus      bool // it is what the page was opened for
}

type option struct {
	Value, Label string
	Selected     bool
}

// Typed reports whether scopes can be typed.
func (c choice) Typed() bool {
	return slices.ContainsFunc(c.Options, func(o option) bool { return o.Value == chooseScopes })
}

// The values of a choice; that of a preset is followed by its name.
const (
	chooseNone   = "none"
	chooseScopes = "scopes"
	choosePreset = "preset:"
)

// newChoice offers the presets and scopes, with the limit of now selected.
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

// sent is what was chosen in a form that was sent in vain.
func (c choice) sent(r *http.Request) choice {
	c.Scopes = r.PostForm.Get("scopes")
	for i := range c.Options {
		c.Options[i].Selected = c.Options[i].Value == r.PostForm.Get("to")
	}
	return c
}

// chosen is what a form with a choice says: full, none, or limited to a ceiling.
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

func (d *Dashboard) sharingPage(ctx echo.Context, p accounts.Principal) error {
	return d.renderSharing(ctx, http.StatusOK, p, "")
}

func (d *Dashboard) renderSharing(ctx echo.Context, status int, p accounts.Principal, failed string) error {
	f, err := d.frame(ctx, p, "sharing")
	if err != nil {
		return err
	}
	view := sharingView{Frame: f, Error: failed, Cursor: ctx.QueryParam("cursor"), Plain: f.Connection.KeyID == "", Edit: p.Can("connection:share") && !f.Left, Ask: ctx.QueryParam("ask") == "off"}
	if view.Sharing, err = d.connections.Sharing(ctx.Request().Context(), p, f.Connection.ID, view.Cursor, page.PageRows); err != nil {
		return err
	}
	if view.Ask && view.Edit && f.Connection.Visibility == connections.Organization {
		ends, err := d.servers.EndsOfPatch(ctx, p, f.Connection.ID, api.ConnectionPatch{Visibility: new(connections.Private)})
		if err != nil {
			return err
		}
		view.Ends = endsOf(ends, "")
	}
	if view.Uses, err = d.usesOf(ctx.Request().Context(), p, f.Connection); err != nil {
		return err
	}
	s := &view.Sharing
	r := ctx.Request()
	view.Ceiling = newChoice("members", "no ceiling: everything their role allows", s.Presets, view.Plain, s.CeilingPreset, s.Ceiling)
	if failed != "" && ctx.Param("action") == "ceiling" {
		view.Ceiling = view.Ceiling.sent(r)
	}
	for _, m := range s.Members {
		view.Members = append(view.Members, view.member(p, m, r, failed != "" && ctx.Param("user") == m.UserID))
	}
	return d.renderTab(ctx, p, status, "connection_sharing", f, view)
}

// member is one of the list, with the form if that is open: asked for, or sent in vain.
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

// failSharing shows the page with the reason why nothing was done.
func (d *Dashboard) failSharing(ctx echo.Context, p accounts.Principal, err error) error {
	if who.Ours(err) || bridge.AsError(err).Kind == bridge.NotFound {
		return err
	}
	return d.renderSharing(ctx, api.Status(err), p, page.Sentence(err))
}

func sharingDone(ctx echo.Context, what string) error {
	return ctx.Redirect(http.StatusSeeOther, "/connections/"+ctx.Param("id")+"/sharing?done="+what)
}

// changeSharing is the switch, the ceiling, and reading the presets anew.
func (d *Dashboard) changeSharing(ctx echo.Context, p accounts.Principal) error {
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
			return d.failSharing(ctx, p, page.ErrNotSure)
		}
		patch.Visibility, done = new(connections.Private), "unshared"
	case "ceiling":
		done = "ceiling-lifted"
		patch.Ceiling.Given = true
		if access, to := chosen(ctx.Request()); access == connections.AccessLimited {
			patch.Ceiling.To, done = &to, "ceiling"
			if asked, err := d.askCeiling(ctx, p, patch); asked || err != nil {
				return err
			}
		}
	case "presets":
		if err := d.servers.ReadPresets(ctx.Request().Context(), p, ctx.Param("id")); err != nil {
			return d.failSharing(ctx, p, err)
		}
		return sharingDone(ctx, "presets")
	default:
		return echo.NewHTTPError(http.StatusNotFound)
	}
	if _, err := d.servers.ChangeConnectionTo(ctx, p, ctx.Param("id"), patch); err != nil {
		return d.failSharing(ctx, p, err)
	}
	return sharingDone(ctx, done)
}

// askCeiling asks for confirmation of a ceiling that takes something away.
func (d *Dashboard) askCeiling(ctx echo.Context, p accounts.Principal, patch api.ConnectionPatch) (asked bool, err error) {
	if ctx.Request().PostForm.Get("sure") == "yes" {
		return false, nil
	}
	found, err := d.servers.FoundOfPatch(ctx, p, ctx.Param("id"), patch)
	if err != nil {
		return true, d.failSharing(ctx, p, err)
	}
	return d.askLess(ctx, p, "Set the ceiling", found)
}

// changeSharer makes or ends the exception for one member.
func (d *Dashboard) changeSharer(ctx echo.Context, p accounts.Principal) error {
	if err := page.Form(ctx); err != nil {
		return err
	}
	id, user := ctx.Param("id"), ctx.Param("user")
	access, to := chosen(ctx.Request())
	var err error
	if access == connections.AccessFull {
		_, err = d.servers.UnlimitMember(ctx, p, id, user)
	} else if limit := (api.MemberLimit{Access: access, Ceiling: to}); ctx.Request().PostForm.Get("sure") != "yes" {
		var found preview.Ends
		if found, err = d.servers.FoundOfLimit(ctx, p, id, user, limit); err == nil {
			asked, err := d.askLess(ctx, p, "Limit "+cmp.Or(found.Member.Name, found.Member.Email), found)
			if asked || err != nil {
				return err
			}
		}
	}
	if err == nil && access != connections.AccessFull {
		_, err = d.servers.LimitMember(ctx, p, id, user, api.MemberLimit{Access: access, Ceiling: to})
	}
	if err != nil {
		return d.failSharing(ctx, p, err)
	}
	return sharingDone(ctx, "member-limit")
}
