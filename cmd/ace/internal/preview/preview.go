package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Effects lists what else a change ends or limits, line by line.
type Effects struct {
	Ends    []string
	Limited []string
	Left    []string // for the admins to clear up
	Keys    bool     // keys that people made are among Ends
}

// Any reports whether there are effects.
func (f Effects) Any() bool { return len(f.Ends)+len(f.Limited)+len(f.Left) > 0 }

// add joins the effects of two changes.
func (f Effects) add(other Effects) Effects {
	return Effects{append(f.Ends, other.Ends...), append(f.Limited, other.Limited...), append(f.Left, other.Left...), f.Keys || other.Keys}
}

// Ask finds out what a change would end. Things for which itself is true are left out. If ask fails, there are no effects.
func Ask(ctx context.Context, ask func(context.Context) (api.Ends, error), itself func(api.Ending) bool) (Effects, error) {
	ends, err := ask(ctx)
	if ctx.Err() != nil {
		return Effects{}, ctx.Err()
	}
	if err != nil {
		return Effects{}, nil //nolint:nilerr // the change itself will say what is wrong
	}
	return effectsOf(ends, itself), nil
}

// AccessToken reports whether e is an access token. People who keep their access get a new one at once.
func AccessToken(e api.Ending) bool { return e.Kind == api.EndsAccessToken }

// endKinds lists the kinds of things that end, in output order. Each has its singular and plural.
var endKinds = [...][3]string{
	{api.EndsConnectionKey, "connection's key", "connections' keys"},
	{api.EndsAPIKey, "API key", "API keys"},
	{api.EndsPersonalAccessToken, "personal access token", "personal access tokens"},
	{api.EndsSession, "session", "sessions"},
	{api.EndsApproval, "login in progress", "logins in progress"},
	{api.EndsInvitation, "invitation", "invitations"},
	{api.EndsJoinToken, "join token", "join tokens"},
	{api.EndsAccessToken, "holder of access tokens", "holders of access tokens"},
	{api.EndsConnection, "connection", "connections"},
}

// effectsOf turns an answer into lines. Things for which itself is true are left out.
func effectsOf(e api.Ends, itself func(api.Ending) bool) (f Effects) {
	for _, kind := range endKinds {
		var ends, limited, left []string
		more := e.Counts[kind[0]]
		for _, item := range e.Items {
			if item.Kind != kind[0] {
				continue
			}
			more--
			switch {
			case itself != nil && itself(item):
			case item.Fate == api.FateLeft:
				left = append(left, endName(item))
			case item.Fate == api.FateLimited:
				limited = append(limited, endName(item))
			default:
				ends = append(ends, endName(item))
			}
		}
		f.Keys = f.Keys || len(ends) > 0 && (kind[0] == api.EndsAPIKey || kind[0] == api.EndsPersonalAccessToken)
		f.Ends = addLine(f.Ends, kind, ends, max(more, 0), "")
		f.Limited = addLine(f.Limited, kind, limited, 0, "")
		f.Left = addLine(f.Left, kind, left, 0, "")
	}
	for _, s := range e.Servers {
		f = f.add(endsOnServer(s))
	}
	return f
}

// endsOnServer says what happens to the personal keys on a server.
func endsOnServer(s api.ServerEnds) (f Effects) {
	if s.Status != api.ServerAsked {
		return undecided(s)
	}
	var ends, limited []string
	for _, item := range s.Items {
		if item.Fate == api.FateLimited {
			limited = append(limited, endName(item))
		} else {
			ends = append(ends, endName(item))
		}
	}
	more := max(s.Total-len(s.Items), 0)
	kind := [3]string{"", "personal key", "personal keys"}
	place := " on " + string(s.ServerURL)
	if len(ends) == 0 && !s.All {
		f.Limited = addLine(nil, kind, limited, more, place)
		return f
	}
	f.Ends, f.Limited = addLine(nil, kind, ends, more, place), addLine(nil, kind, limited, 0, place)
	f.Keys = len(f.Ends) > 0
	return f
}

// undecided says whose keys may end on a server without an answer.
func undecided(s api.ServerEnds) (f Effects) {
	var ends, limited []string
	for _, of := range s.Subjects {
		if of.Fate == api.FateLimited {
			limited = append(limited, of.Subject)
		} else {
			ends = append(ends, of.Subject)
		}
	}
	why := " (ace could not find out which"
	if s.Cause != "" {
		why += ": " + strings.TrimSuffix(s.Cause, ".")
	}
	line := func(of []string) []string {
		if len(of) == 0 {
			return nil
		}
		return []string{"personal keys on " + cmp.Or(string(s.ServerURL), s.Name) + " of " + firstOf(of, 0) + why + ")"}
	}
	return Effects{Ends: line(ends), Limited: line(limited)}
}

// addLine adds a line about things of one kind. It counts them and names the first three.
func addLine(lines []string, kind [3]string, names []string, more int, place string) []string {
	n := len(names) + more
	if n == 0 {
		return lines
	}
	word := kind[2]
	if n == 1 {
		word = kind[1]
	}
	line := fmt.Sprintf("%d %s%s", n, word, place)
	if text := firstOf(names, more); text != "" {
		line += ": " + text
	}
	return append(lines, line)
}

// firstOf lists the first three names and counts the rest.
func firstOf(names []string, more int) string {
	const shown = 3
	var known []string
	for _, name := range names {
		if name == "" {
			more++
		} else {
			known = append(known, name)
		}
	}
	if len(known) > shown {
		more += len(known) - shown
		known = known[:shown]
	}
	text := strings.Join(known, ", ")
	if len(known) > 0 && more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// endName names one thing. A thing without a name is only counted.
func endName(e api.Ending) string {
	switch {
	case e.Kind == api.EndsSession || e.Kind == api.EndsApproval:
		return ""
	case e.Kind == api.EndsAccessToken && e.Name != "":
		return e.Owner + " (" + e.Name + ")"
	case e.Kind == api.EndsAPIKey && e.Owner != "":
		return e.Name + " (" + e.Owner + ")"
	}
	return e.Name
}

// Print writes the effects to stderr.
func (f Effects) Print(t *term.Terminal) {
	for _, part := range []struct {
		title string
		lines []string
	}{{"This also ends:", f.Ends}, {"This also limits:", f.Limited}, {"Left to the admins:", f.Left}} {
		if len(part.lines) == 0 {
			continue
		}
		t.Note("%s", part.title)
		for _, line := range part.lines {
			t.Note("  %s", bridge.Printable(line))
		}
	}
}

// Agree prints the effects and, at a terminal, asks to go on. Without effects, or with yes, it does not ask.
func Agree(t *term.Terminal, yes bool, f Effects, format string, args ...any) error {
	f.Print(t)
	if yes || !f.Any() || !t.Interactive() {
		return nil
	}
	ok, err := t.Confirm(format, args...)
	if err == nil && !ok {
		err = errNothingChanged
	}
	return err
}

// RequireYes asks before something that cannot be undone. Where there is nobody to ask, it needs --yes on the command.
func RequireYes(t *term.Terminal, yes bool, command, format string, args ...any) error {
	if yes {
		return nil
	}
	if !t.Interactive() {
		return term.InputNeeded("this needs confirmation").WithHint("%s --yes", command)
	}
	ok, err := t.Confirm(format, args...)
	if err == nil && !ok {
		err = errNothingChanged
	}
	return err
}

var errNothingChanged = bridge.E(bridge.Conflict, bridge.CodeCancelled, "nothing was changed")

// AskAll previews n changes, several at a time, and joins their effects.
func AskAll(ctx context.Context, n int, one func(ctx context.Context, i int) (Effects, error)) (Effects, error) {
	const atOnce = 4
	results, errs, slots := make([]Effects, n), make([]error, n), make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			results[i], errs[i] = one(ctx, i)
		}()
	}
	for range atOnce {
		slots <- struct{}{}
	}
	var all Effects
	for _, f := range results {
		all = all.add(f)
	}
	return all, errors.Join(errs...)
}
