package world

// The exit codes of the command, which scripts depend on.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotLoggedIn = 4
	ExitForbidden   = 5
	ExitUnreachable = 6
	ExitInterrupted = 130
)

// The ways to log in, as the command and the cloud call them.
const (
	MethodDevice         = "device"
	MethodPassword       = "password"
	MethodDeveloperToken = "developer_token"
	MethodAPIKey         = "api_key"
	MethodPAT            = "pat"
)
