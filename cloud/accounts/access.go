package accounts

// Manages is a caller's column of that name.
func (p Principal) Manages() string {
	if p.Can("connection:manage") {
		return "manage"
	}
	return ""
}
