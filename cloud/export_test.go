package cloud

// What [Cloud.Run] does again and again.
var (
	RotateKeys    = (*Cloud).rotateKeys
	RecheckRelays = (*Cloud).recheckRelays
)
