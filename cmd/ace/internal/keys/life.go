package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/target"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// onKey makes a command that does something to one key.
func (g *Group) onKey(use, short string, do func(ctx context.Context, at target.Keys, id string) error) *cobra.Command {
	var o target.Options
	return o.Flags(&cobra.Command{Use: use + " KEY-ID|NAME", Short: short, Args: cmdline.SomeArgs(1, 1, "key (its ID or name)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := g.Target.Keys(cmd.Context(), o)
			if err != nil {
				return err
			}
			id, err := at.ID(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return do(cmd.Context(), at, id)
		}})
}

// secretResult is what a command prints of a key with its secret.
type secretResult struct {
	api.CreatedKey
	Target bridge.ServerURL `json:"target"` // the cloud or server that takes it
	Login  string           `json:"-"`
}

// printSecret prints a key's secret, once, and how to use it.
func (g *Group) printSecret(at target.Keys, done string, key api.CreatedKey) error {
	r := secretResult{CreatedKey: key, Target: at.Base()}
	if at.Cloud {
		r.Login = fmt.Sprintf("ace auth login-api-key --env %s --key %s --service-name %s", at.Base(),
			bridge.ShellWord(key.KeyID+"."+key.Key.Reveal()), bridge.ShellWord(key.Name))
		if key.Kind == string(bridge.KindPAT) {
			r.Login = fmt.Sprintf("ace login pat --env %s --token %s", at.Base(), bridge.ShellWord(key.Key.Reveal()))
		}
	}
	return g.Term.Print(r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "API key %s. Save the secret below now — it will NEVER be shown again.\n\n", done)
		term.Row(w, "Service name", key.Name)
		term.Row(w, "Key", key.Key.Reveal())
		term.Row(w, "Key ID", key.KeyID)
		term.Row(w, "For", at.Name)
		term.Row(w, "Owner", key.Owner)
		if text := lives(key.APIKey); text != "" {
			term.Row(w, "Lineage", text)
		}
		term.Row(w, "Scopes", strings.Join(key.Scopes, " "))
		term.Row(w, "Expires", expiry(key.APIKey))
		for _, limit := range limits(key.APIKey) {
			term.Row(w, limit[0], limit[1])
		}
		if key.GraceUntil != nil {
			term.Row(w, "Old secret until", term.Until(key.GraceUntil))
		}
		if r.Login != "" {
			_, _ = fmt.Fprintf(w, "\nLog in with it where the service runs:\n  %s\n", bridge.Printable(r.Login))
		} else {
			_, _ = fmt.Fprintf(w, "\nSend it in a header, or add it in the dashboard:\n  curl -H 'X-Ace-Api-Key: …' %s\n", at.Base().Join("/ace/v1/me"))
		}
	})
}

// limits lists what else limits a key, each with a label.
func limits(k api.APIKey) (out [][2]string) {
	if len(k.AllowFrom) > 0 {
		out = append(out, [2]string{"Only from", strings.Join(k.AllowFrom, " ")})
	}
	if k.Rate != "" {
		out = append(out, [2]string{"Rate", k.Rate})
	}
	if k.Limit != nil {
		out = append(out, [2]string{"Limit", strings.TrimSpace(strings.Join(k.Limit.Scopes, " ") + " " + asRole(k.Limit.Role))})
	}
	if k.MaxUses > 0 {
		out = append(out, [2]string{"Uses", fmt.Sprintf("%d of %d", k.Uses, k.MaxUses)})
	}
	return out
}

// asRole words the limit of a key to what a role allows.
func asRole(role bridge.Role) string {
	if role == "" {
		return ""
	}
	return "at most the role " + string(role)
}

func (g *Group) keyReviveCommand() *cobra.Command {
	var r api.ReviveKeyRequest
	cmd := g.onKey("revive", "Give a key a new secret under the same ID; the old one stops working at once",
		func(ctx context.Context, at target.Keys, id string) error {
			key, err := at.ReviveKey(ctx, id, r)
			if err != nil {
				return err
			}
			return g.printSecret(at, "revived", key)
		})
	cmd.Flags().StringVar(&r.ExpiresIn, "expires", "", expiresUsage+"; 90d by default")
	return cmd
}

const rotateTries = 3

func (g *Group) keyRotateCommand() *cobra.Command {
	var r api.RotateKeyRequest
	var idempotency string
	cmd := g.onKey("rotate", "Give a key a new secret; the old one stays valid for a grace period",
		func(ctx context.Context, at target.Keys, id string) error {
			if idempotency == "" {
				idempotency = uuid.NewString()
			}
			var key api.CreatedKey
			var err error
			for range rotateTries { // with the same idempotency key, a repeat gives the same secret
				key, err = at.RotateKey(ctx, id, bridge.NewSecret(idempotency), r)
				if !unanswered(err) || ctx.Err() != nil {
					break
				}
			}
			if unanswered(err) {
				return term.Explain(err).WithHint("the key may or may not have been rotated; once the server is back, run the same command with "+
					"--idempotency-key %s to get the same secret", idempotency)
			}
			if err != nil {
				return err
			}
			return g.printSecret(at, "rotated", key)
		})
	f := cmd.Flags()
	f.StringVar(&r.Grace, "grace", "", "how long the old secret stays valid: 7d, 12h, or 0s to end it at once; 24h by default")
	f.StringVar(&r.ExpiresIn, "expires", "", expiresUsage+"; by default the key's original lifetime, counted from now")
	f.StringVar(&idempotency, "idempotency-key", "", "repeat the rotation that was started with this idempotency key, instead of starting another")
	return cmd
}

// unanswered reports whether err leaves it unknown what the server did.
func unanswered(err error) bool {
	e, ok := errors.AsType[*bridge.Error](err)
	return ok && (e.Kind == bridge.Unreachable || e.Kind == bridge.Unavailable || e.Kind == bridge.Timeout)
}

func (g *Group) keyDisableCommand() *cobra.Command {
	return g.onKey("disable", "Disable a key until it is enabled again",
		func(ctx context.Context, at target.Keys, id string) error {
			return g.switched(at.DisableKey(ctx, id))("Disabled")
		})
}

func (g *Group) keyEnableCommand() *cobra.Command {
	return g.onKey("enable", "Enable a disabled key", func(ctx context.Context, at target.Keys, id string) error {
		return g.switched(at.EnableKey(ctx, id))("Enabled")
	})
}

// switched prints a key that was just changed. The function that it returns takes the word for the change.
func (g *Group) switched(key api.APIKey, err error) func(what string) error {
	return func(what string) error {
		if err != nil {
			return err
		}
		return g.Term.Print(key, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s %s (%s)\n", what, bridge.Printable(key.Name), bridge.Printable(key.KeyID))
		})
	}
}

func (g *Group) keyScopesCommand() *cobra.Command {
	var o target.Options
	return o.Flags(&cobra.Command{Use: "scopes", Short: "List the scopes and presets that keys can have", Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := g.Target.Keys(cmd.Context(), o)
			if err != nil {
				return err
			}
			raw, err := at.Scopes(cmd.Context())
			if err != nil {
				return err
			}
			var f catalogue.File
			if err := json.Unmarshal(raw, &f); err != nil {
				return bridge.E(bridge.Invalid, bridge.CodeAnswerUnexpected, "the catalogue of %s cannot be read: %w", at.Name, err).
					WithHint("it may be newer than this ace (%s)", g.Version)
			}
			return g.Term.Print(f, func(w io.Writer) { scopeTable(w, f) })
		}})
}

func scopeTable(w io.Writer, f catalogue.File) {
	term.Row(w, "SCOPE", "MEANING")
	for _, scope := range slices.Sorted(maps.Keys(f.Scopes)) {
		term.Row(w, scope, f.Scopes[scope])
	}
	_, _ = fmt.Fprintln(w)
	term.Row(w, "PRESET", "MEANING", "SCOPES")
	for _, name := range slices.Sorted(maps.Keys(f.Presets)) {
		p := f.Presets[name]
		scopes := p.Scopes
		for _, base := range p.Extends {
			scopes = append([]string{"(" + base + ")"}, scopes...)
		}
		if name == f.DefaultPreset {
			name += " (default)"
		}
		term.Row(w, name, p.Description, strings.Join(scopes, " "))
	}
}
