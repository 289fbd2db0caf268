package accounts

// RequireProvider refuses a key: whoever sets the provider decides who gets in as whom.
func (p Principal) RequireProvider(org string) error {
	if err := p.RequirePerson(); err != nil {
		return err
	}
	return p.RequireUpdate(org)
}
