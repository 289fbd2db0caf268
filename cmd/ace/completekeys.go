package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// targetOf is what has the keys that a half-typed command is about.
func (a *app) targetOf(ctx context.Context, cmd *cobra.Command) (keyTarget, error) {
	var o apiKeyOptions
	o.server, _ = cmd.Flags().GetString("server")
	o.token, _ = cmd.Flags().GetString("token")
	o.cloud, _ = cmd.Flags().GetBool("cloud")
	if o.token == "-" {
		return keyTarget{}, term.InputNeeded("stdin is the terminal's")
	}
	if args := cmd.Flags().Args(); cmd.Parent().Name() == "connections" && len(args) > 0 { // what its server declares
		_, c, err := a.namedConnection(ctx, args[0])
		if err != nil {
			return keyTarget{}, err
		}
		o.server = string(c.ServerURL)
	}
	return a.keyTarget(ctx, o)
}

func keyNames(ctx context.Context, a *app, cmd *cobra.Command) ([]string, error) {
	target, err := a.targetOf(ctx, cmd)
	if err != nil {
		return nil, err
	}
	keys, err := target.Keys(ctx)
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
		default: // the name would not do
			out = append(out, k.KeyID+"\t"+k.Name+" "+k.Status)
		}
	}
	return out, nil
}

// fromCatalogue lists part of the catalogue of whoever has the keys that cmd is about.
func fromCatalogue(lines func(f catalogue.File) []string) source {
	return func(ctx context.Context, a *app, cmd *cobra.Command) ([]string, error) {
		target, err := a.targetOf(ctx, cmd)
		if err != nil {
			return nil, err
		}
		raw, err := target.Scopes(ctx)
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
