package profile

import (
	"net"
	"net/netip"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// IsLoopback reports whether a host is localhost or a loopback address.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

const defaultProfile = "default"

// Selection is the profile that a command works with, and why.
type Selection struct {
	Name     string
	Cloud    bridge.ServerURL
	Profile  *Profile // nil: not in the store yet
	Why      string
	Ignored  []string // the flags and variables that are not used, for `auth status`
	explicit string   // the cloud as the flag or variable has it; empty: neither decided
}

// cloudURL reads --env: a URL or a host. A host means https, or http if it is this machine.
func cloudURL(source, value string) (bridge.ServerURL, error) {
	if term.MayBeSecret(value) {
		return "", term.Usage("%s: it looks like a key or a token, not like the address of a cloud", source)
	}
	if !strings.Contains(value, "://") {
		host := value
		if h, _, err := net.SplitHostPort(value); err == nil {
			host = h
		}
		scheme := "https://"
		if IsLoopback(strings.Trim(host, "[]")) {
			scheme = "http://"
		}
		value = scheme + value
	}
	u, err := bridge.CanonicalURL(value)
	if err != nil {
		return "", term.Usage("%s: %s", source, term.Explain(err).Detail)
	}
	return u, nil
}

// profileSource is a flag or variable that selects a profile.
type profileSource struct {
	name, value string
	isCloud     bool
}

// shown returns the source and, unless it may be secret, its value.
func (s profileSource) shown() string {
	if s.isCloud {
		if _, err := cloudURL(s.name, s.value); err != nil {
			return s.name
		}
	}
	if term.MayBeSecret(s.value) {
		return s.name
	}
	return s.name + "=" + s.value
}

// selectProfile applies the order --profile, --env, ACE_PROFILE, ACE_ENV, active profile.
func (ps *Profiles) selectProfile(c Config) (Selection, error) {
	profileName, err := OutsideVariable("ACE_PROFILE")
	if err != nil {
		return Selection{}, err
	}
	env, err := OutsideVariable("ACE_ENV")
	if err != nil {
		return Selection{}, err
	}
	sources := []profileSource{
		{"--profile", ps.Term.Profile, false}, {"--env", ps.Term.Env, true},
		{"ACE_PROFILE", profileName, false}, {"ACE_ENV", env, true},
		{"the active profile", c.Active, false},
	}
	s := Selection{Name: defaultProfile, Cloud: bridge.DefaultCloudURL, Why: "there is no profile yet"}
	s.Profile = c.Profiles[defaultProfile]
	chosen := false
	for _, source := range sources {
		switch {
		case source.value == "":
		case chosen && source.name != "the active profile":
			s.Ignored = append(s.Ignored, source.shown()+": "+s.Why+" takes precedence")
		case chosen:
		case source.isCloud:
			u, err := cloudURL(source.name, source.value)
			if err != nil {
				return s, err
			}
			s.Name, s.Profile, s.Cloud, s.Why, s.explicit = profileOf(c, u), nil, u, source.name, source.value
			s.Profile, chosen = c.Profiles[s.Name], true
		default:
			name := c.Named(source.value)
			s.Name, s.Profile, s.Why, chosen = name, c.Profiles[name], source.name, true
		}
	}
	if s.Profile != nil && s.explicit == "" {
		s.Cloud = s.Profile.CloudURL
	}
	if !bridge.PlainText(s.Name, 100) || s.Profile == nil && term.MayBeSecret(s.Name) {
		return s, term.Usage("%s: that is not a valid name for a profile", s.Why)
	}
	return s, nil
}

// Named returns a profile's name as the store spells it. A new name gets the Unicode form in which it will be stored.
func (c Config) Named(name string) string {
	if c.Profiles[name] != nil {
		return name
	}
	for have := range c.Profiles {
		if bridge.SameName(have, name) {
			return have
		}
	}
	return bridge.OneForm(name)
}

// newProfileCloud gives a new profile the cloud of --env or ACE_ENV. The profile is named by --profile or ACE_PROFILE. For an
// existing profile, another cloud in --env is a mistake.
func (ps *Profiles) newProfileCloud(s Selection) (Selection, error) {
	source, value := "--env", ps.Term.Env
	if value == "" {
		var err error
		source = "ACE_ENV"
		if value, err = OutsideVariable(source); err != nil {
			return s, err
		}
	}
	if value == "" || s.explicit != "" {
		return s, nil
	}
	u, err := cloudURL(source, value)
	if err != nil {
		return s, err
	}
	if s.Profile != nil && !s.Profile.CloudURL.Same(u) {
		if source == "--env" {
			return s, term.Usage("the profile %q is for %s, not for %s", s.Name, s.Profile.CloudURL, u).
				WithHint("use another name: --profile NAME --env %s", u)
		}
		return s, nil
	}
	if s.Profile == nil {
		s.Cloud, s.Ignored = u, nil
	}
	return s, nil
}

// profileOf names the profile for a cloud. It is the active one if it is of that cloud, else another one of that cloud, else a
// new one named after the cloud's host.
func profileOf(c Config, cloud bridge.ServerURL) string {
	if p := c.Profiles[c.Active]; p != nil && p.CloudURL.Same(cloud) {
		return c.Active
	}
	best := ""
	for name, p := range c.Profiles {
		if p.CloudURL.Same(cloud) && (best == "" || name < best) {
			best = name
		}
	}
	switch {
	case best != "":
		return best
	case cloud == bridge.DefaultCloudURL:
		return defaultProfile
	}
	return cloud.URL().Host
}

// Config reads the list of profiles.
func (ps *Profiles) Config() (Config, error) {
	st, err := ps.OpenStore()
	if err != nil {
		return Config{}, err
	}
	return st.Config()
}
