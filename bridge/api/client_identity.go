package api

import (
	"context"
	"net/http"

	"github.com/acebridge/ace/bridge"
)

// CodeOTPRequired is the code of the refusal of a password that is right, where the account has a second factor.
const CodeOTPRequired = "otp_required"

// PasswordSession logs a person in with a password; see [SessionRequest] and [CodeOTPRequired].
func (c *CloudClient) PasswordSession(ctx context.Context, r SessionRequest) (SessionToken, error) {
	var out SessionToken
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions", body: r, out: &out})
	if err == nil && out.Token.IsZero() {
		err = bridge.E(bridge.Invalid, "answer_unexpected", "%s answered no token", c.base)
	}
	return out, err
}
