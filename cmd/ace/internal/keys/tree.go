package keys

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/preview"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const (
	lineagePersonal     = "personal"
	lineageOrganization = "organization"
)

// lineage says in a word or two what a key is.
func lineage(k api.APIKey) string {
	word := k.Lineage
	switch {
	case word == "" && k.Kind == string(bridge.KindSK):
		return "connection"
	case word == lineagePersonal && k.ParentUnknown:
		word += ", parent unknown"
	}
	if k.Subject != "" && k.Subject != k.Owner {
		word += " of " + k.Subject
	}
	return word
}

// lives says what a key ends with. It is empty if the cloud or server does not say.
func lives(k api.APIKey) string {
	switch {
	case k.Lineage == lineageOrganization:
		return "organization: outlives people and connections"
	case k.Lineage != lineagePersonal && k.Kind == string(bridge.KindSK):
		return "connection: the personal keys made with it end with it"
	case k.Lineage != lineagePersonal:
		return ""
	}
	end := "the access of " + k.Subject
	if k.Subject == "" {
		end = "its owner's access"
	}
	if k.Parent != "" {
		end = "the key " + k.Parent + " that it was made with, and with " + end
	}
	return "personal: ends with " + end
}

// leaf is a key in its place in the tree.
type leaf struct {
	api.APIKey
	depth  int
	placed bool // below its parent
}

// tree puts each key below the one it was made with.
func tree(keys []api.APIKey) []leaf {
	listed, below := map[string]bool{}, map[string][]api.APIKey{}
	for _, k := range keys {
		listed[k.KeyID] = true
	}
	for _, k := range keys {
		if listed[k.Parent] {
			below[k.Parent] = append(below[k.Parent], k)
		}
	}
	out := make([]leaf, 0, len(keys))
	var add func(k api.APIKey, depth int)
	add = func(k api.APIKey, depth int) {
		if !listed[k.KeyID] { // shown already: a loop of parents must end
			return
		}
		listed[k.KeyID] = false
		out = append(out, leaf{k, depth, depth > 0})
		for _, child := range below[k.KeyID] {
			add(child, depth+1)
		}
	}
	roots := slices.DeleteFunc(slices.Clone(keys), func(k api.APIKey) bool { return listed[k.Parent] })
	for _, k := range append(roots, keys...) {
		add(k, 0)
	}
	return out
}

// keyTable lists keys as a tree. A key whose parent is not listed names it, unless that is parent.
func keyTable(w io.Writer, keys []api.APIKey, parent string) {
	term.Row(w, "KEY ID", "PREFIX", "NAME", "OWNER", "LINEAGE", "STATUS", "EXPIRES", "LAST USED", "ENDED")
	for _, k := range tree(keys) {
		used, name, kind := "", k.Name, lineage(k.APIKey)
		if k.LastUsed != nil {
			used = term.When(&k.LastUsed.At)
		}
		if k.placed {
			name = strings.Repeat("  ", k.depth-1) + "└ " + name
		} else if k.Parent != "" && k.Parent != parent {
			kind += ", made with " + k.Parent
		}
		status := k.Status
		if k.DoubtedAt != nil {
			status += ", in doubt"
		}
		term.Row(w, k.KeyID, k.Prefix, name, k.Owner, kind, status, expiry(k.APIKey), used, ended(k.APIKey))
	}
}

// keyLines prints a keyTable, or keyBlocks if the terminal is too narrow.
func (g *Group) keyLines(w io.Writer, keys []api.APIKey, parent string) {
	columns, _, err := xterm.GetSize(int(g.Term.Out.Fd()))
	if err == nil {
		var whole strings.Builder
		table := tabwriter.NewWriter(&whole, 0, 8, 2, ' ', 0)
		keyTable(table, keys, parent)
		_ = table.Flush()
		for line := range strings.Lines(whole.String()) {
			if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > columns {
				keyBlocks(w, keys)
				return
			}
		}
	}
	keyTable(w, keys, parent)
}

// keyBlocks lists keys as a tree, each in a few short lines.
func keyBlocks(w io.Writer, keys []api.APIKey) {
	for _, k := range tree(keys) {
		first, indent := "", "  "
		if k.placed {
			first = strings.Repeat("  ", k.depth-1) + "└ "
			indent = "    " // 40 columns hold a key ID
		}
		lines := []string{first + k.Name, indent + strings.TrimPrefix(lineage(k.APIKey)+", "+k.Status, ", "), indent + k.KeyID, indent + k.Prefix,
			indent + "owner " + k.Owner, indent + "expires " + expiry(k.APIKey)}
		if k.Parent != "" && !k.placed {
			lines = append(lines, indent+"made with "+k.Parent)
		}
		if k.LastUsed != nil {
			lines = append(lines, indent+"last used "+term.When(&k.LastUsed.At))
		}
		if end := ended(k.APIKey); end != "" {
			lines = append(lines, indent+end)
		}
		for _, line := range lines {
			_, _ = fmt.Fprintln(w, bridge.Printable(line))
		}
	}
}

// parentUnknown selects keys made before parents were recorded.
const parentUnknown = "unknown"

func (g *Group) keyListCommand() *cobra.Command {
	var o target.Options
	var parent string
	cmd := &cobra.Command{Use: "list", Short: "List API keys as a tree, each below the key it was made with", Args: cmdline.NoArgs,
		Long: `List API keys as a tree, each below the key it was made with. The kinds of key are:

  organization   made by an admin for the organization; outlives people and connections
  personal       limited by the key it was made with and by the person's access, and ends with either
  connection     the key of a connection; the personal keys made with it end with it

While a key is disabled or expired, the personal keys below it are refused: their status is parent_disabled, parent_expired
and so on. --parent unknown lists personal keys from older versions, whose parent was not recorded.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := g.Target.Keys(cmd.Context(), o)
			if err != nil {
				return err
			}
			if parent != "" && parent != parentUnknown {
				if parent, err = at.ID(cmd.Context(), parent); err != nil {
					return err
				}
			}
			keys, err := at.KeysOf(cmd.Context(), parent)
			if err != nil {
				return err
			}
			keys = slices.DeleteFunc(keys, func(k api.APIKey) bool { return !ofParent(k, parent) }) // older servers list all
			err = g.Term.Print(api.List[api.APIKey]{Items: keys}, func(w io.Writer) { g.keyLines(w, keys, parent) })
			if err == nil && g.Term.Output == term.OutputTable {
				g.noteOrphans(at, keys)
				g.noteDoubted(at, keys)
			}
			return err
		}}
	cmd.Flags().StringVar(&parent, "parent", "", "list only the keys made with this one (its ID or `NAME`); unknown for those whose parent was not recorded")
	return o.Flags(cmd)
}

// ofParent reports whether --parent selects a key.
func ofParent(k api.APIKey, parent string) bool {
	switch parent {
	case "":
		return true
	case parentUnknown:
		return k.ParentUnknown && k.Ended == nil
	}
	return k.Parent == parent
}

// noteOrphans says what to do about keys whose parent is unknown.
func (g *Group) noteOrphans(at target.Keys, keys []api.APIKey) {
	var orphans []api.APIKey
	for _, k := range keys {
		if ofParent(k, parentUnknown) {
			orphans = append(orphans, k)
		}
	}
	if len(orphans) == 0 {
		return
	}
	which := "1 personal key has"
	if len(orphans) > 1 {
		which = fmt.Sprintf("%d personal keys have", len(orphans))
	}
	g.Term.Note("%s no known parent (made before parents were recorded): each is limited once its owner loses access to any connection.", which)
	g.Term.Note("  fix: replace each with a new key, then revoke it: %s", at.Command("revoke "+orphans[0].KeyID))
}

func (g *Group) keyRevokeCommand() *cobra.Command {
	var yes bool
	cmd := g.onKey("revoke", "Revoke an API key for good, with all keys made with it", func(ctx context.Context, at target.Keys, id string) error {
		f, err := previewKey(ctx, at, id)
		if err != nil {
			return err
		}
		if f.Keys && !yes && !g.Term.Interactive() {
			return term.InputNeeded("this needs confirmation, since it also ends %s", bridge.Printable(strings.Join(f.Ends, "; "))).WithHint("%s", at.Command("revoke "+id)+" --yes")
		}
		if err := preview.Agree(g.Term, yes, f, "Revoke the key for good, with all of that?"); err != nil {
			return err
		}
		return g.switched(at.RevokeKey(ctx, id))("Revoked")
	})
	cmd.Long = `Revoke an API key for good, with all keys made with it.

If other keys end with it, the command asks first, and without a terminal it needs --yes. ace api-key list --parent KEY lists the keys
made with it.`
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask if more than the key ends")
	return cmd
}

// previewKey asks what ends with a key besides its access tokens.
func previewKey(ctx context.Context, at target.Keys, id string) (preview.Effects, error) {
	return preview.Ask(ctx, func(ctx context.Context) (api.Ends, error) { return at.KeyEnds(ctx, id) },
		func(e api.Ending) bool { return e.ID == id || e.Kind == api.EndsAccessToken })
}

// noteDoubted says what to do about keys in doubt after a restore.
func (g *Group) noteDoubted(at target.Keys, keys []api.APIKey) {
	i := slices.IndexFunc(keys, func(k api.APIKey) bool { return k.DoubtedAt != nil })
	if i < 0 {
		return
	}
	first := keys[i]
	g.Term.Note("in doubt: the database was restored from a backup (%s), and the key may have been revoked before that.", term.When(first.DoubtedAt))
	g.Term.Note("  fix: for each key, either end it: %s; or keep it: %s", at.Command("revoke "+first.KeyID), at.Command("enable "+first.KeyID))
}
