package cloud

// What [Cloud.Run] does again and again.
var (
	RotateKeys    = (*Cloud).rotateKeys
	ProbeStale    = (*Cloud).probeStale
	RecheckRelays = (*Cloud).recheckRelays
)
