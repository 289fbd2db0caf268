package cloud

// RotateKeys is what [Cloud.Run] does again and again.
var RotateKeys = (*Cloud).rotateKeys
