package complete

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// targetOf finds the cloud or server that a half-typed command is about.
func (comp *Completer) targetOf(ctx context.Context, cmd *cobra.Command) (target.Keys, error) {
	var o target.Options
	o.Server, _ = cmd.Flags().GetString("server")
	o.Token, _ = cmd.Flags().GetString("token")
	o.Cloud, _ = cmd.Flags().GetBool("cloud")
	if o.Token == "-" {
		return target.Keys{}, term.InputNeeded("stdin is the terminal's")
	}
	if args := cmd.Flags().Args(); cmd.Parent().Name() == "connections" && len(args) > 0 { // presets and scopes are those of its server
		_, c, err := comp.Target.Connection(ctx, args[0])
		if err != nil {
			return target.Keys{}, err
		}
		o.Server = string(c.ServerURL)
	}
	return comp.Target.Keys(ctx, o)
}

// keyNames lists keys by name. A key that has ended, or whose name is not unique, is listed by ID.
func keyNames(ctx context.Context, comp *Completer, cmd *cobra.Command) ([]string, error) {
	at, err := comp.targetOf(ctx, cmd)
	if err != nil {
		return nil, err
	}
	keys, err := at.Keys(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for _, k := range keys {
		if k.Ended == nil {
			seen[bridge.OneForm(k.Name)]++
		}
	}
	var out []string
	for _, k := range keys {
		switch {
		case k.Ended != nil && cmd.Name() != "revive", k.Status == "revoked":
		case k.Ended == nil && seen[bridge.OneForm(k.Name)] == 1:
			out = append(out, k.Name+"\t"+k.Prefix+"… "+k.Status)
		default: // the name is not unique
			out = append(out, k.KeyID+"\t"+k.Name+" "+k.Status)
		}
	}
	return out, nil
}

// fromCatalogue lists a part of the catalogue that the command is about.
func fromCatalogue(lines func(f catalogue.File) []string) source {
	return func(ctx context.Context, comp *Completer, cmd *cobra.Command) ([]string, error) {
		at, err := comp.targetOf(ctx, cmd)
		if err != nil {
			return nil, err
		}
		raw, err := at.Scopes(ctx)
		if err != nil {
			return nil, err
		}
		var f catalogue.File
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, err
		}
		return lines(f), nil
	}
}

var presetNames = fromCatalogue(func(f catalogue.File) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(f.Presets)) {
		out = append(out, name+"\t"+f.Presets[name].Description)
	}
	return out
})

var scopeNames = fromCatalogue(func(f catalogue.File) (out []string) {
	for _, scope := range slices.Sorted(maps.Keys(f.Scopes)) {
		out = append(out, scope+"\t"+f.Scopes[scope])
	}
	return out
})
