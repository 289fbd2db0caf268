package menu

import "github.com/acebridge/ace/bridge"

// Entry is a line of a menu: another menu, or a command.
type Entry struct {
	Title string
	Items []Entry    // of its own menu
	Args  []string   // the command, without what is asked
	Asks  []Question // before it runs
}

// Question asks for one flag or argument of a command.
type Question struct {
	Label    string
	Flag     string // the answer is appended to it, as in "--name="; empty: the answer is the command's argument
	Optional bool   // an empty answer leaves the flag out
	Secret   bool   // asked without an echo and given on stdin; Flag is then the whole argument, as in "--secret=-"
}

var (
	askConnection = Question{Label: "Connection (name, URL or ID)"}
	askKey        = Question{Label: "Key (name or ID)"}
	askServer     = Question{Label: "Server's URL (empty: " + string(bridge.DefaultServerURL) + ")", Flag: "--server=", Optional: true}
	askExpires    = Question{Label: "Expires in, for example 30d, or never (empty: 90d)", Flag: "--expires=", Optional: true}
)

// Entries is the menu of `ace -i`.
var Entries = []Entry{
	{Title: "Connections", Items: []Entry{
		{Title: "List", Args: []string{"connections", "list"}},
		{Title: "Connect a server", Args: []string{"connect"}, Asks: []Question{askServer,
			{Label: "Name (empty: the server's host)", Flag: "--name=", Optional: true}}},
		{Title: "Connect a server with a key made on it", Args: []string{"connect"}, Asks: []Question{askServer,
			{Label: "API key", Flag: "--api-key=-", Secret: true}}},
		{Title: "Check", Args: []string{"connections", "check"}, Asks: []Question{askConnection}},
		{Title: "Share with the organization", Args: []string{"connections", "share"}, Asks: []Question{askConnection}},
		{Title: "Make private again", Args: []string{"connections", "unshare"}, Asks: []Question{askConnection}},
		{Title: "Disconnect", Args: []string{"disconnect"}},
	}},
	{Title: "Authentication (Login/Logout)", Items: []Entry{
		{Title: "Login", Items: loginMenu},
		{Title: "Logout", Args: []string{"logout"}},
		{Title: "Status", Args: []string{"auth", "status"}},
		{Title: "Switch profile", Args: []string{"auth", "switch"}},
	}},
	{Title: "API keys", Items: []Entry{
		{Title: "Create", Args: []string{"api-key", "create"}, Asks: []Question{askServer,
			{Label: "Name", Flag: "--name="}, {Label: "Preset (empty: the server's default)", Flag: "--preset=", Optional: true}, askExpires}},
		{Title: "List", Args: []string{"api-key", "list"}, Asks: []Question{askServer}},
		{Title: "Revive: a new secret, the old one stops working at once", Args: []string{"api-key", "revive"}, Asks: []Question{askServer, askKey, askExpires}},
		{Title: "Rotate: a new secret, the old one stops working later", Args: []string{"api-key", "rotate"}, Asks: []Question{askServer, askKey}},
		{Title: "Revoke", Args: []string{"api-key", "revoke"}, Asks: []Question{askServer, askKey}},
	}},
	{Title: "Organization", Items: []Entry{
		{Title: "List yours", Args: []string{"org", "list"}},
		{Title: "Switch", Args: []string{"org", "switch"}, Asks: []Question{{Label: "Organization"}}},
		{Title: "Members", Args: []string{"org", "members"}},
		{Title: "Create", Args: []string{"org", "create"}, Asks: []Question{{Label: "Short name, for example acme"}}},
		{Title: "Invite", Args: []string{"org", "invite"}, Asks: []Question{
			{Label: "E-mail (empty: anyone with the link)", Flag: "--email=", Optional: true},
			{Label: "Role (empty: member)", Flag: "--role=", Optional: true}}},
		{Title: "Show what a server needs to trust this cloud", Args: []string{"org", "trust"}},
	}},
}

var loginMenu = []Entry{
	{Title: "Browser (device code)", Args: []string{"login"}},
	{Title: "API Key", Args: []string{"login", "api-key"}, Asks: []Question{{Label: "Name", Flag: "--name="},
		{Label: "Organization (empty: the key's)", Flag: "--organization-id=", Optional: true},
		{Label: "API key", Flag: "--secret=-", Secret: true}}},
	{Title: "Personal Access Token", Args: []string{"login", "pat"}, Asks: []Question{{Label: "Personal access token", Flag: "--token=-", Secret: true}}},
	{Title: "E-mail and password", Args: []string{"login"}, Asks: []Question{{Label: "E-mail", Flag: "--email="},
		{Label: "Code from your authenticator app (empty: none)", Flag: "--otp=", Optional: true},
		{Label: "Password", Flag: "--password-stdin", Secret: true}}},
	{Title: "Developer token", Args: []string{"auth", "login-token"}, Asks: []Question{{Label: "Developer token", Flag: "--token=-", Secret: true}}},
}
