package accounts

import (
	"context"

	"github.com/acebridge/ace/bridge/api"
)

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

// ShowTrust returns the variables, the shared secret among them, and notes in the audit log who was shown them.
func (st *Store) ShowTrust(ctx context.Context, caller Caller, org string) (api.TrustVariables, error) {
	variables, err := st.Trust(caller.Principal, org)
	if err != nil {
		return api.TrustVariables{}, err
	}
	if err := st.Note(ctx, caller.Actor, "trust.show", "organization:"+caller.Org, nil); err != nil {
		return api.TrustVariables{}, err
	}
	return variables, nil
}
