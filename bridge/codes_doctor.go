package bridge

// Codes: what `ace doctor` and `ace server doctor` find, besides the codes of other subjects.
const (
	CodeBundleExists     Code = "bundle_exists"
	CodeCheckFailed      Code = "check_failed"
	CodeCheckTimeout     Code = "check_timeout"
	CodeClockSkewed      Code = "clock_skewed"
	CodeDataDirOpen      Code = "data_dir_open"
	CodeDataDirUnusable  Code = "data_dir_unusable"
	CodeDialRefused      Code = "dial_refused"
	CodeDialTimeout      Code = "dial_timeout"
	CodeDialUnreachable  Code = "dial_unreachable"
	CodeDNSFailed        Code = "dns_failed"
	CodeFaultsFound      Code = "faults_found"
	CodeProxyFailed      Code = "proxy_failed"
	CodeProxyMalformed   Code = "proxy_malformed"
	CodeProxyRefused     Code = "proxy_refused"
	CodeProxyUnreachable Code = "proxy_unreachable"
	CodeTLSExpired       Code = "tls_expired"
	CodeTLSFailed        Code = "tls_failed"
	CodeTLSName          Code = "tls_name"
	CodeTLSNotYet        Code = "tls_not_yet"
	CodeTLSOld           Code = "tls_old"
	CodeTLSUntrusted     Code = "tls_untrusted"
)

var doctorCodes = []meaning{
	{CodeBundleExists, []Kind{Conflict}, final, "The file for the bundle exists already, and is not overwritten."},
	{CodeCheckFailed, []Kind{Internal}, final, "A check failed for a reason that no other code names; the cause says which."},
	{CodeCheckTimeout, []Kind{Timeout}, again, "A check took too long and was given up."},
	{CodeClockSkewed, []Kind{Invalid}, final, "Two clocks are more than 30 seconds apart, so that fresh tokens are refused."},
	{CodeDataDirOpen, []Kind{Invalid}, final, "Other users of the machine may read or change the data directory."},
	{CodeDataDirUnusable, []Kind{Invalid}, final, "The data directory cannot be read or written by this user."},
	{CodeDialRefused, []Kind{Unreachable}, again, "Nothing listens at the address and port."},
	{CodeDialTimeout, []Kind{Unreachable}, again, "No answer comes from the address: a firewall drops the traffic, or the machine is off."},
	{CodeDialUnreachable, []Kind{Unreachable}, again, "There is no way from this machine to the address."},
	{CodeDNSFailed, []Kind{Unreachable}, again, "The host name cannot be looked up."},
	{CodeFaultsFound, []Kind{Internal}, final, "The doctor found at least one fault."},
	{CodeProxyFailed, []Kind{Unreachable}, again, "The HTTP proxy allows the connection, and cannot make it."},
	{CodeProxyMalformed, []Kind{Invalid}, final, "The variable that names the HTTP proxy does not hold a proxy's URL."},
	{CodeProxyRefused, []Kind{Forbidden}, final, "The HTTP proxy refuses the connection, or wants a user and a password."},
	{CodeProxyUnreachable, []Kind{Unreachable}, again, "The HTTP proxy does not answer."},
	{CodeTLSExpired, []Kind{Unreachable}, final, "The TLS certificate has expired."},
	{CodeTLSFailed, []Kind{Unreachable}, again, "The TLS handshake fails before there is a certificate to judge."},
	{CodeTLSName, []Kind{Unreachable}, final, "The TLS certificate is for another host."},
	{CodeTLSNotYet, []Kind{Unreachable}, final, "The TLS certificate is not valid yet, or the clock of this machine is behind."},
	{CodeTLSOld, []Kind{Unreachable}, final, "The other side, or a middlebox, speaks only a version of TLS that is too old."},
	{CodeTLSUntrusted, []Kind{Unreachable}, final, "The TLS certificate comes from an authority that this machine does not trust."},
}
