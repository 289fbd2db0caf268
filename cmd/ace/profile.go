package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/acebridge/ace/bridge"
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
		return "", usage("%s: %s", source, explain(err).Detail)
	}
	return u, nil
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
	sources := []struct {
		name, value string
		isCloud     bool
	}{
		{"--profile", a.profile, false}, {"--env", a.env, true},
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
			s.ignored = append(s.ignored, fmt.Sprintf("%s=%s: %s counts before it", source.name, source.value, s.why))
		case chosen:
		case source.isCloud:
			u, err := cloudURL(source.name, source.value)
			if err != nil {
				return s, err
			}
			s.name, s.profile, s.cloud, s.why, s.explicit = profileOf(c, u), nil, u, source.name, source.value
			s.profile, chosen = c.Profiles[s.name], true
		default:
			s.name, s.profile, s.why, chosen = source.value, c.Profiles[source.value], source.name, true
		}
	}
	if s.profile != nil && s.explicit == "" {
		s.cloud = s.profile.CloudURL
	}
	if len(s.name) > 100 || !bridge.PlainText(s.name, 100) {
		return s, usage("%s: that is no name for a profile", s.why)
	}
	return s, nil
}

// newProfileCloud is the cloud of a profile that --profile or ACE_PROFILE names for the first time: what --env or
// ACE_ENV says beside it.
func (a *app) newProfileCloud(s selection) (selection, error) {
	source, value := "--env", a.env
	if value == "" {
		source, value = "ACE_ENV", strings.TrimSpace(os.Getenv("ACE_ENV"))
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
			return s, usage("the profile %q is for %s, not for %s", s.name, s.profile.CloudURL, u).
				WithHint("take another name: --profile NAME --env %s", value)
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
