package preview

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
)

func TestEffects(t *testing.T) {
	key := func(name, owner string) api.Ending {
		return api.Ending{Kind: api.EndsAPIKey, Fate: api.FateEnds, ID: name, Name: name, Owner: owner}
	}
	token := api.Ending{Kind: api.EndsAccessToken, Fate: api.FateEnds, Name: "laptop", Owner: "bob"}
	of := func(items ...api.Ending) (e api.Ends) {
		e.Add(items...)
		return e
	}
	server := func(status string, s api.ServerEnds) api.Ends {
		s.Status, s.ServerURL = status, "https://s"
		return api.Ends{Servers: []api.ServerEnds{s}}
	}
	less := func(e api.Ending) api.Ending { e.Fate = api.FateLimited; return e }
	many := of(key("a", "x"), key("b", ""), key("c", "x"), key("d", "x"))
	many.Counts[api.EndsAPIKey] = 12 // more than are listed
	for _, c := range []struct {
		name string
		ends api.Ends
		want string
		keys bool
	}{
		{"nothing", api.Ends{}, "", false},
		{"itself", of(key("own", "x")), "", false},
		{"one", of(key("own", "x"), key("a", "ann")), "ends: 1 API key: a (ann)", true},
		{"more than are named", of(key("a", "x"), key("b", "x"), key("c", "x"), key("d", "x")), "ends: 4 API keys: a (x), b (x), c (x) and 1 more", true},
		{"more than are listed", many, "ends: 12 API keys: a (x), b, c (x) and 9 more", true},
		{"kinds", of(token, api.Ending{Kind: api.EndsSession, Name: "password"}, api.Ending{Kind: api.EndsSession, Name: "device"},
			api.Ending{Kind: api.EndsPersonalAccessToken, Name: "mine", Owner: "bob"}, api.Ending{Kind: api.EndsConnection, Fate: api.FateLeft, Name: "home"}),
			"ends: 1 personal access token: mine; 2 sessions; 1 holder of access tokens: bob (laptop) | left: 1 connection: home", true},
		{"keys on a server", server(api.ServerAsked, api.ServerEnds{Total: 2, Items: []api.Ending{key("a", "bob"), less(key("b", "eve"))}}),
			"ends: 1 personal key on https://s: a (bob) | limited: 1 personal key on https://s: b (eve)", true},
		{"limited on a server", server(api.ServerAsked, api.ServerEnds{Total: 3, Items: []api.Ending{less(key("b", "eve"))}}),
			"limited: 3 personal keys on https://s: b (eve) and 2 more", false},
		{"all on a server", server(api.ServerAsked, api.ServerEnds{All: true, Total: 3, Items: []api.Ending{}}), "ends: 3 personal keys on https://s", true},
		{"none on a server", server(api.ServerAsked, api.ServerEnds{All: true}), "", false},
		{"a server that is down", server(api.ServerUnreachable, api.ServerEnds{Cause: "It does not answer.", Subjects: []api.SubjectEnds{
			{Subject: "bob", Fate: api.FateEnds}, {Subject: "eve", Fate: api.FateLimited}}}),
			"ends: personal keys on https://s of bob (ace could not find out which: It does not answer) | limited: personal keys on https://s of eve (ace could not find out which: It does not answer)", false},
		{"a server that is down, and nobody", server(api.ServerUnreachable, api.ServerEnds{All: true}), "", false},
	} {
		f := effectsOf(c.ends, func(e api.Ending) bool { return e.ID == "own" })
		var parts []string
		for title, lines := range map[string][]string{"1ends": f.Ends, "2limited": f.Limited, "3left": f.Left} {
			if len(lines) > 0 {
				parts = append(parts, title+": "+strings.Join(lines, "; "))
			}
		}
		got := ""
		for _, n := range "123" {
			for _, part := range parts {
				if text, ok := strings.CutPrefix(part, string(n)); ok {
					got += " | " + text
				}
			}
		}
		if got = strings.TrimPrefix(got, " | "); got != c.want || f.Keys != c.keys || f.Any() != (c.want != "") {
			t.Errorf("%s: %q, keys %v; want %q, %v", c.name, got, f.Keys, c.want, c.keys)
		}
	}
}

// An older cloud does not know the question, which must not stop the change. Ctrl-C does.
func TestAskAnOlderCloud(t *testing.T) {
	for _, err := range []error{bridge.E(bridge.NotFound, "not_found", "nothing is here"), bridge.E(bridge.Unreachable, "unreachable", "away")} {
		f, got := Ask(t.Context(), func(context.Context) (api.Ends, error) { return api.Ends{}, err }, nil)
		if got != nil || f.Any() {
			t.Errorf("%v: %v %v", err, f, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, func(ctx context.Context) (api.Ends, error) { return api.Ends{}, ctx.Err() }, nil); err == nil {
		t.Error("interrupted, and it goes on")
	}
}

func TestAskAll(t *testing.T) {
	const n = 11
	all, err := AskAll(t.Context(), n, func(_ context.Context, i int) (Effects, error) {
		return Effects{Ends: []string{fmt.Sprint(i)}}, nil
	})
	if err != nil || strings.Join(all.Ends, " ") != "0 1 2 3 4 5 6 7 8 9 10" {
		t.Errorf("%v (%v)", all, err)
	}
}
