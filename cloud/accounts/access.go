package accounts

// Manages is the value of the column "manage" of a caller in SQL: "manage" if they may manage all connections, else empty.
func (p Principal) Manages() string {
	if p.Can("connection:manage") {
		return "manage"
	}
	return ""
}
