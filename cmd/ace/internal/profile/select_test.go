package profile

import (
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Which profile counts, by what was said: all combinations of the five places.
func TestProfileOrder(t *testing.T) {
	c := Config{Active: "active", Profiles: map[string]*Profile{}}
	for _, name := range []string{"active", "flag", "variable"} {
		c.Profiles[name] = &Profile{CloudURL: bridge.ServerURL("https://" + name + ".example")}
	}
	c.Profiles["env"] = &Profile{CloudURL: "https://env.example"}
	c.Profiles["ace-env"] = &Profile{CloudURL: "https://ace-env.example"}
	for bits := range 16 {
		said := []struct{ place, value, profile string }{
			{"--profile", "flag", "flag"}, {"--env", "env.example", "env"},
			{"ACE_PROFILE", "variable", "variable"}, {"ACE_ENV", "https://ace-env.example", "ace-env"},
		}
		a := newProfiles()
		want, ignored := "active", 0
		for i := range said {
			switch {
			case bits&(1<<i) == 0:
				said[i].value = ""
			case want == "active":
				want = said[i].profile
			default:
				ignored++
			}
		}
		a.Term.Profile, a.Term.Env = said[0].value, said[1].value
		t.Setenv("ACE_PROFILE", said[2].value)
		t.Setenv("ACE_ENV", said[3].value)
		sel, err := a.selectProfile(c)
		if err != nil || sel.Name != want || len(sel.Ignored) != ignored || sel.Cloud != c.Profiles[want].CloudURL {
			t.Errorf("%v: the profile is %q of %s, ignored are %q, want %q and %d: %v", said, sel.Name, sel.Cloud, sel.Ignored, want, ignored, err)
		}
	}
}

// TestProfilesFoundInOneForm: a profile is found in another Unicode form of its name.
func TestProfilesFoundInOneForm(t *testing.T) {
	const composed, decomposed = "zo\u00eb", "zoe\u0308"
	for stored, asked := range map[string]string{composed: decomposed, decomposed: composed} {
		s, err := (&Profiles{Term: &term.Terminal{Profile: asked}}).selectProfile(Config{Profiles: map[string]*Profile{stored: {CloudURL: "https://cloud.example"}}})
		if err != nil || s.Name != stored || s.Profile == nil {
			t.Errorf("a profile: %+v %v", s, err)
		}
	}
	if s, err := (&Profiles{Term: &term.Terminal{Profile: decomposed}}).selectProfile(Config{}); err != nil || s.Name != composed {
		t.Errorf("a new profile: %+q %v", s.Name, err)
	}
}
