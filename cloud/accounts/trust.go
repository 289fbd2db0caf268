package accounts

import "github.com/acebridge/ace/bridge/api"

// Trust returns the variables with which a server trusts this cloud for an organization.
func (st *Store) Trust(p Principal, org string) (api.TrustVariables, error) {
	if err := p.RequireOrg(org); err != nil {
		return api.TrustVariables{}, err
	}
	if err := p.RequireScope("organization:trust"); err != nil {
		return api.TrustVariables{}, err
	}
	public, secret := st.root.TrustValues(st.issuer, org)
	return api.TrustVariables{Org: org, CloudURL: st.issuer, PublicKey: public, JWTSecret: secret.Disclose()}, nil
}
