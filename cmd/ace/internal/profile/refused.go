package profile

import (
	"strings"

	"github.com/acebridge/ace/bridge"
)

// SourceProfile is the source of a credential that is the profile's session.
const SourceProfile = "profile"

// Login returns the login command for this profile and cloud.
func (s Selection) Login(command string) string {
	if s.Why == "--profile" {
		command += " --profile " + s.Name
	}
	if s.Cloud != bridge.DefaultCloudURL {
		command += " --env " + string(s.Cloud)
	}
	return command
}

// refused adds the hint that fits the credential that was sent. The cloud cannot know where the credential came from: logging
// in again, as it may advise, only helps if the profile's session was sent.
func (l *Login) refused(e *bridge.Error) *bridge.Error {
	bad := e.Kind == bridge.Unauthenticated
	advised := strings.Contains(e.Hint, "ace login")
	switch {
	case l.Source == "" || (!bad && !advised):
		return e
	case l.Source != SourceProfile:
		return e.WithHint("%s", l.instead())
	case !bad && l.Session.IsKey():
		return e.WithHint("%s", l.Login("ace login --force"))
	case !bad:
		return e
	case l.Session.Method == MethodPAT:
		return e.WithHint("%s", l.Login("ace login pat --token -"))
	case l.Session.IsKey():
		return e.WithHint("%s", l.Login("ace auth login-api-key --key - --service-name NAME"))
	}
	return e.WithHint("%s", l.Login("ace login"))
}

// instead says how to replace a variable's or flag's credential.
func (l *Login) instead() string {
	if strings.HasPrefix(l.Source, "--") {
		return "pass another " + l.Source + ", or leave it out and log in: " + l.Login("ace login")
	}
	if l.Profile != nil && l.Profile.Method != "" {
		return Unset(l.Source) + " to use the session of the profile " + l.Name + "; or set it to another value"
	}
	return Unset(l.Source) + " and log in: " + l.Login("ace login") + "; or set it to another value"
}

// Unset returns the shell command that removes a credential from the environment.
func Unset(source string) string {
	if source == Trio[0] {
		source = strings.Join(Trio[:], " ")
	}
	return "unset " + source
}
