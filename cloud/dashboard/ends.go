package dashboard

import (
	"slices"
	"strconv"

	"github.com/acebridge/ace/bridge/api"
)

// endsView is the data of the template part "ends": what a change ends.
type endsView struct {
	Lines   []endsLine
	Servers []endsServer
}

// endsLine says how many things of one kind end, and names the first few.
type endsLine struct {
	What  string
	Names []string
	More  int // names that are not listed
}

// endsServer says what happens to personal keys on a connection's server.
type endsServer struct {
	Name  string
	Lines []endsLine
	Cause string // why the server did not say more
	Told  bool   // the server does not answer, and is told later
}

// firstNames is the maximum number of names in a line.
const firstNames = 5

// endsWords lists the kinds in the order of the page. Kinds without words are mentioned elsewhere on it.
var endsWords = []struct{ kind, fate, one, many string }{
	{api.EndsAPIKey, api.FateEnds, "API key", "API keys"},
	{api.EndsPersonalAccessToken, api.FateEnds, "personal access token", "personal access tokens"},
	{api.EndsSession, api.FateEnds, "session", "sessions"},
	{api.EndsApproval, api.FateEnds, "approved login that was not used yet", "approved logins that were not used yet"},
	{api.EndsInvitation, api.FateEnds, "open invitation", "open invitations"},
	{api.EndsJoinToken, api.FateEnds, "join token", "join tokens"},
	{api.EndsAccessToken, api.FateEnds, "person or program loses its access tokens", "people or programs lose their access tokens"},
	{api.EndsConnection, api.FateLeft, "private connection, which admins can only disconnect", "private connections, which admins can only disconnect"},
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// endsOf returns the view of what ends, leaving out the thing that the page is about.
func endsOf(e api.Ends, itself string) endsView {
	var out endsView
	for _, w := range endsWords {
		names, n := []string{}, 0
		for _, item := range e.Items {
			if item.Kind != w.kind || item.Fate != w.fate || item.ID == itself && itself != "" {
				continue
			}
			n++
			name := item.Name
			if item.Kind == api.EndsAccessToken {
				name = item.Owner
			}
			if item.Kind != api.EndsSession && item.Kind != api.EndsApproval && !slices.Contains(names, name) && name != "" {
				names = append(names, name)
			}
		}
		if e.Total > len(e.Items) { // not all are listed, and a count is of all fates
			n = max(n, e.Counts[w.kind])
		}
		if n > 0 {
			out.Lines = append(out.Lines, lineOf(count(n, w.one, w.many), names, n))
		}
	}
	for _, s := range e.Servers {
		out.Servers = append(out.Servers, endsServerOf(s))
	}
	return out
}

func lineOf(what string, names []string, n int) endsLine {
	line := endsLine{What: what, Names: names[:min(len(names), firstNames)]}
	if len(names) > 0 {
		line.More = max(n, len(names)) - len(line.Names)
	}
	return line
}

func endsServerOf(s api.ServerEnds) endsServer {
	out := endsServer{Name: s.Name, Cause: s.Cause, Told: s.Status == api.ServerUnreachable}
	fates := map[string][]string{} // names of keys, or the subjects where no key is known
	for _, item := range s.Items {
		fates[item.Fate] = append(fates[item.Fate], item.Name+" ("+item.Owner+")")
	}
	known := s.Status == api.ServerAsked
	if !known {
		for _, of := range s.Subjects {
			fates[of.Fate] = append(fates[of.Fate], of.Subject)
		}
	}
	for _, fate := range []struct{ fate, ends string }{{api.FateEnds, "for good"}, {api.FateLimited, "with less than now"}} {
		names := fates[fate.fate]
		n := len(names)
		if s.All && known {
			n = s.Total
		}
		verbs := map[string][2]string{api.FateEnds: {"ends", "end"}, api.FateLimited: {"goes on", "go on"}}[fate.fate]
		switch {
		case n == 0 || s.All && fate.fate == api.FateLimited:
		case known && n == 1:
			out.Lines = append(out.Lines, lineOf("1 personal key "+verbs[0]+" "+fate.ends, names, n))
		case known:
			out.Lines = append(out.Lines, lineOf(strconv.Itoa(n)+" personal keys "+verbs[1]+" "+fate.ends, names, n))
		default:
			out.Lines = append(out.Lines, lineOf("Personal keys "+verbs[1]+" "+fate.ends+", if any were made by", names, n))
		}
	}
	switch {
	case known && len(out.Lines) == 0:
		out.Lines = append(out.Lines, endsLine{What: "No personal key is affected"})
	case s.All && len(out.Lines) == 0:
		out.Lines = append(out.Lines, endsLine{What: "Every personal key that was made through the connection ends for good"})
	}
	if s.More {
		out.Lines = append(out.Lines, endsLine{What: "There are more, and the server finds them"})
	}
	return out
}

// Nothing reports whether there is nothing to show.
func (v endsView) Nothing() bool { return len(v.Lines) == 0 && len(v.Servers) == 0 }

// keyNode is a key in the tree of keys made with another key.
type keyNode struct {
	api.Ending
	Path     string
	Children []keyNode
}

// treeOf arranges the keys among items, each once, below the key each was made with.
func treeOf(items []api.Ending, parent, path string) []keyNode {
	below := map[string][]api.Ending{}
	seen := map[string]bool{parent: true}
	for _, item := range items {
		if item.ID != "" && !seen[item.ID] {
			seen[item.ID] = true
			below[item.Parent] = append(below[item.Parent], item)
		}
	}
	var grow func(parent string) []keyNode
	grow = func(parent string) (out []keyNode) {
		for _, item := range below[parent] {
			out = append(out, keyNode{Ending: item, Path: path + item.ID, Children: grow(item.ID)})
		}
		return out
	}
	return grow(parent)
}
