package auditlog

import (
	"cmp"
	"strings"
)

// Group is a heading of the filter with the actions below it.
type Group struct {
	Title   string
	Actions []Action
}

// Action is an action of the log in words: what was tried, whether or not it succeeded.
type Action struct{ Name, Words string }

// Groups lists all actions that a cloud records, in the order in which people look for them.
var Groups = []Group{
	{"Connections", []Action{
		{"connection.register", "Add a connection"},
		{"connection.replace_key", "Connect again, with a new key"},
		{"connection.share", "Share a connection"},
		{"connection.unshare", "Stop sharing a connection"},
		{"connection.ceiling", "Limit what members may do"},
		{"connection.member_limit", "Limit what one member may do"},
		{"connection.member_unlimit", "Lift the limit of one member"},
		{"connection.rotate", "Renew the key of a connection"},
		{"connection.rotate_failed", "The key of a connection could not be renewed"},
		{"connection.rename", "Rename a connection"},
		{"connection.move", "Give a connection another URL"},
		{"connection.change", "Change a connection"},
		{"connection.relay", "Call a server through the relay"},
		{"connection.join", "A server joins"},
		{"connection.leave", "A server leaves"},
		{"connection.delete", "Disconnect"},
		{"link.rotate_key", "Renew the credential of a link"},
		{"join_token.create", "Make a join token"},
		{"join_token.revoke", "Revoke a join token"},
		{"join_token.use", "Use a join token"},
		{"connect_token.issue", "Connect a server"},
		{"link.up", "A server opens links to the cloud"},
		{"link.down", "A server has lost its links"},
		{"revocation.deliver", "Revoke a key on its server"},
	}},
	{"API keys", []Action{
		{"key.create", "Create an API key"},
		{"key.revive", "Revive an API key"},
		{"key.rotate", "Rotate an API key"},
		{"key.rotate_again", "Ask again for a rotated key"},
		{"key.end_grace", "End a rotated key's old secret"},
		{"key.disable", "Disable an API key"},
		{"key.enable", "Enable an API key"},
		{"key.revoke", "Revoke an API key"},
		{"key.withdraw_tokens", "Withdraw members' access tokens"},
		{"key.limit", "Limit a personal key, with its owner's access"},
		{"key.move", "Move a personal key to a connection's new key"},
		{"key.adopt", "Make an older key a personal key"},
		{"key.expiring", "An API key is about to expire"},
	}},
	{"Signing in", []Action{
		{"session.open", "Sign in"},
		{"session.second_step", "Sign in, first of two steps"},
		{"session.end", "Sign out"},
		{"session.switch", "Switch the organization"},
		{"code.issue", "Log in on a terminal, by browser"},
		{"code.deny", "Deny a terminal, by browser"},
		{"device.approve", "Log in on a terminal, by code"},
		{"device.deny", "Deny a terminal, by code"},
		{"recovery_code.use", "Use a recovery code"},
	}},
	{"Accounts", []Action{
		{"user.add", "Create an account"},
		{"user.change", "Change a profile"},
		{"user.handover", "Void what an account had before"},
		{"user.verify", "Confirm an e-mail address"},
		{"address.ask", "Ask for another e-mail address"},
		{"address.stop", "Stop the change of an e-mail address"},
		{"address.change", "Change an e-mail address"},
		{"verify.mail", "Send a link to confirm an address"},
		{"password.change", "Change a password"},
		{"password.confirm", "Confirm a password"},
		{"password.reset", "Set a forgotten password"},
		{"reset.mail", "Send a link for a forgotten password"},
		{"totp.begin", "Set up two-factor authentication"},
		{"totp.enable", "Turn two-factor authentication on"},
		{"totp.disable", "Turn two-factor authentication off"},
		{"recovery_codes.renew", "Make new recovery codes"},
	}},
	{"Organization", []Action{
		{"organization.create", "Create an organization"},
		{"organization.rename", "Rename an organization"},
		{"invitation.create", "Invite somebody"},
		{"invitation.accept", "Accept an invitation"},
		{"invitation.await", "Accept an invitation, before the address is confirmed"},
		{"invitation.withdraw", "Withdraw an invitation"},
		{"member.add", "Add a member"},
		{"member.update", "Update a member at sign-in"},
		{"member.role", "Change a role"},
		{"member.remove", "Remove a member"},
		{"member.leave", "Leave the organization"},
		{"provider.set", "Set the sign-in provider"},
		{"provider.remove", "Remove the sign-in provider"},
		{"domain.verify", "Verify a domain"},
		{"trust.show", "Show the trust variables"},
		{"audit.export", "Export the audit log"},
	}},
	{"Operation", []Action{
		{"clock.accept", "Accept that the clock is right"},
		{"database.accept", "Accept a restored database"},
		{"encryption_key.accept_missing", "Accept that an encryption key is lost"},
	}},
}

// words maps each action to its words.
var words = func() map[string]string {
	out := map[string]string{}
	for _, g := range Groups {
		for _, a := range g.Actions {
			out[a.Name] = a.Words
		}
	}
	return out
}()

// Known reports whether an action has words, and so a place in [Groups].
func Known(action string) bool { return words[action] != "" }

// ActionWords puts an action into words; one that only an older log holds stays as it is.
func ActionWords(action string) string { return cmp.Or(words[action], action) }

// ActorWords names an actor as people do.
func ActorWords(actor string) string {
	kind, name, _ := strings.Cut(actor, ":")
	switch kind {
	case "user":
		return name
	case "key":
		return "API key " + name
	case "join_token":
		return "join token " + name
	case "link":
		return "the server with the key " + name
	case "operator":
		return strings.TrimSpace("the operator " + name)
	case "system":
		return "this cloud"
	case "anonymous":
		return "somebody not signed in"
	}
	return actor
}
