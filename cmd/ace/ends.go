package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

// foretold is what else a change ends or limits, in lines for a person.
type foretold struct {
	ends, limited, left []string
	keys                bool // it is known that keys which people made end
}

func (f foretold) any() bool { return len(f.ends)+len(f.limited)+len(f.left) > 0 }

// add joins the effects of two changes.
func (f foretold) add(other foretold) foretold {
	return foretold{append(f.ends, other.ends...), append(f.limited, other.limited...), append(f.left, other.left...), f.keys || other.keys}
}

// foretell asks what a change would end. If the question is refused, or an older cloud or server does not know it, nothing is
// foretold: the change itself will say what is wrong.
func foretell(ctx context.Context, ask func(context.Context) (api.Ends, error), itself func(api.Ending) bool) (foretold, error) {
	ends, err := ask(ctx)
	if ctx.Err() != nil {
		return foretold{}, ctx.Err()
	}
	if err != nil {
		return foretold{}, nil //nolint:nilerr // see above
	}
	return foretoldBy(ends, itself), nil
}

// tokens reports whether e is an access token: whoever keeps access gets a new one at once.
func tokens(e api.Ending) bool { return e.Kind == api.EndsAccessToken }

// endKinds lists the kinds of things that end, in output order, with their singular and plural.
var endKinds = [...][3]string{
	{api.EndsConnectionKey, "connection's key", "connections' keys"},
	{api.EndsAPIKey, "API key", "API keys"},
	{api.EndsPersonalAccessToken, "personal access token", "personal access tokens"},
	{api.EndsSession, "session", "sessions"},
	{api.EndsApproval, "login under way", "logins under way"},
	{api.EndsInvitation, "invitation", "invitations"},
	{api.EndsAccessToken, "holder of access tokens", "holders of access tokens"},
	{api.EndsConnection, "connection", "connections"},
}

// foretoldBy turns an answer into lines, without the things that the command itself is about.
func foretoldBy(e api.Ends, itself func(api.Ending) bool) (f foretold) {
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
		f.keys = f.keys || len(ends) > 0 && (kind[0] == api.EndsAPIKey || kind[0] == api.EndsPersonalAccessToken)
		f.ends = count3(f.ends, kind, ends, max(more, 0), "")
		f.limited = count3(f.limited, kind, limited, 0, "")
		f.left = count3(f.left, kind, left, 0, "")
	}
	for _, s := range e.Servers {
		f = f.add(endsOnServer(s))
	}
	return f
}

// endsOnServer says what happens to the personal keys on a server.
func endsOnServer(s api.ServerEnds) (f foretold) {
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
		f.limited = count3(nil, kind, limited, more, place)
		return f
	}
	f.ends, f.limited = count3(nil, kind, ends, more, place), count3(nil, kind, limited, 0, place)
	f.keys = len(f.ends) > 0
	return f
}

// undecided says whose keys may be affected on a server that was not asked or does not answer.
func undecided(s api.ServerEnds) (f foretold) {
	var ends, limited []string
	for _, of := range s.Subjects {
		if of.Fate == api.FateLimited {
			limited = append(limited, of.Subject)
		} else {
			ends = append(ends, of.Subject)
		}
	}
	why := " (which, is not known"
	if s.Cause != "" {
		why += ": " + strings.TrimSuffix(s.Cause, ".")
	}
	line := func(of []string) []string {
		if len(of) == 0 {
			return nil
		}
		return []string{"personal keys on " + cmp.Or(string(s.ServerURL), s.Name) + " of " + firstOf(of, 0) + why + ")"}
	}
	return foretold{ends: line(ends), limited: line(limited)}
}

// count3 adds a line about things of one kind: how many, and the first three by name; more are not named.
func count3(lines []string, kind [3]string, names []string, more int, place string) []string {
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

// firstOf lists the first names, and says how many more there are.
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

// endName names one thing; things without a name are only counted.
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

// say tells on stderr what else a change does.
func (f foretold) say(a *app) {
	for _, part := range []struct {
		title string
		lines []string
	}{{"Ends with it:", f.ends}, {"Limited by it:", f.limited}, {"Left to the admins:", f.left}} {
		if len(part.lines) == 0 {
			continue
		}
		a.Term.Note("%s", part.title)
		for _, line := range part.lines {
			a.Term.Note("  %s", bridge.Printable(line))
		}
	}
}

// agreed says what else a change does. At a terminal it asks, if there is anything; otherwise, and with yes, it goes on.
func (a *app) agreed(yes bool, f foretold, format string, args ...any) error {
	f.say(a)
	if yes || !f.any() || !a.Term.Interactive() {
		return nil
	}
	ok, err := a.Term.Confirm(format, args...)
	if err == nil && !ok {
		err = errNothingChanged
	}
	return err
}

var errNothingChanged = bridge.E(bridge.Conflict, bridge.CodeCancelled, "nothing was changed")

// foretellAll foretells n changes, several at a time.
func foretellAll(ctx context.Context, n int, one func(ctx context.Context, i int) (foretold, error)) (foretold, error) {
	const atOnce = 4
	results, errs, slots := make([]foretold, n), make([]error, n), make(chan struct{}, atOnce)
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
	var all foretold
	for _, f := range results {
		all = all.add(f)
	}
	return all, errors.Join(errs...)
}
