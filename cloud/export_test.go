package cloud

// What [Cloud.Run] does again and again.
var (
	RotateKeys         = (*Cloud).rotateKeys
	DeliverRevocations = (*Cloud).deliverRevocations
	ProbeStale         = (*Cloud).probeStale
	RecheckRelays      = (*Cloud).recheckRelays
)
