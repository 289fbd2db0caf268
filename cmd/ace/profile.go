package main

import (
	"net"
	"strings"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

const defaultProfile = "default"

// selection is which profile a command works with, and why.
type selection struct {
	name     string
	cloud    bridge.ServerURL
	profile  *profile // nil: not in the store yet
	why      string
	ignored  []string // what else was said, for `auth status`
	explicit string   // the cloud as the flag or variable had it, "" if none counted
}

// cloudURL reads --env: a URL, or a host, which is https unless it is this machine.
func cloudURL(source, value string) (bridge.ServerURL, error) {
	if term.MayBeSecret(value) {
		return "", term.Usage("%s: it looks like a key or a token, and not like the address of a cloud", source)
	}
	if !strings.Contains(value, "://") {
		host := value
		if h, _, err := net.SplitHostPort(value); err == nil {
			host = h
		}
		scheme := "https://"
		if isLoopback(strings.Trim(host, "[]")) {
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

// shown is the source with its value, unless that may be a secret in the wrong place.
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
func (a *app) selectProfile(c config) (selection, error) {
	profileName, err := outsideVariable("ACE_PROFILE")
	if err != nil {
		return selection{}, err
	}
	env, err := outsideVariable("ACE_ENV")
	if err != nil {
		return selection{}, err
	}
	sources := []profileSource{
		{"--profile", a.Term.Profile, false}, {"--env", a.Term.Env, true},
		{"ACE_PROFILE", profileName, false}, {"ACE_ENV", env, true},
		{"the active profile", c.Active, false},
	}
	s := selection{name: defaultProfile, cloud: bridge.DefaultCloudURL, why: "there is no profile yet"}
	s.profile = c.Profiles[defaultProfile]
	chosen := false
	for _, source := range sources {
		switch {
		case source.value == "":
		case chosen && source.name != "the active profile":
			s.ignored = append(s.ignored, source.shown()+": "+s.why+" counts before it")
		case chosen:
		case source.isCloud:
			u, err := cloudURL(source.name, source.value)
			if err != nil {
				return s, err
			}
			s.name, s.profile, s.cloud, s.why, s.explicit = profileOf(c, u), nil, u, source.name, source.value
			s.profile, chosen = c.Profiles[s.name], true
		default:
			name := c.named(source.value)
			s.name, s.profile, s.why, chosen = name, c.Profiles[name], source.name, true
		}
	}
	if s.profile != nil && s.explicit == "" {
		s.cloud = s.profile.CloudURL
	}
	if !bridge.PlainText(s.name, 100) || s.profile == nil && term.MayBeSecret(s.name) {
		return s, term.Usage("%s: that is no name for a profile", s.why)
	}
	return s, nil
}

// named is the name of a profile as the store has it, or will have it.
func (c config) named(name string) string {
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

// newProfileCloud is the cloud of a profile that --profile or ACE_PROFILE names for the first time: what --env or
// ACE_ENV says beside it.
func (a *app) newProfileCloud(s selection) (selection, error) {
	source, value := "--env", a.Term.Env
	if value == "" {
		var err error
		source = "ACE_ENV"
		if value, err = outsideVariable(source); err != nil {
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
	if s.profile != nil && !s.profile.CloudURL.Same(u) {
		if source == "--env" {
			return s, term.Usage("the profile %q is for %s, not for %s", s.name, s.profile.CloudURL, u).
				WithHint("take another name: --profile NAME --env %s", u)
		}
		return s, nil
	}
	if s.profile == nil {
		s.cloud, s.ignored = u, nil
	}
	return s, nil
}

// profileOf is the profile for a cloud: the active one if it is of that cloud, another that is, or one to be named
// after the cloud's host.
func profileOf(c config, cloud bridge.ServerURL) string {
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
