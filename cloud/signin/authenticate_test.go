package signin_test

import (
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/audit"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/signin"
	"github.com/acebridge/ace/cloud/signup"
)

func TestAuthenticate(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.Person("ann@a.test", "acme", bridge.RoleMember)
		for name, c := range map[string]struct {
			email, password string
			code            bridge.Code
		}{
			"right": {"Ann@A.test", storetest.Password, ""}, "wrong": {"ann@a.test", "no", "login_failed"},
			"unknown": {"bob@a.test", storetest.Password, "login_failed"}, "long": {"ann@a.test", strings.Repeat("x", 10_000), "login_failed"},
		} {
			_, err := f.SignIn.Authenticate(t.Context(), signin.Login{Email: c.email, Password: bridge.NewSecret(c.password)}, audit.Actor{})
			if bridge.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.SignUp.AddUser(t.Context(), audit.Actor{}, signup.NewUser{Email: "ANN@a.test",
			Password: bridge.NewSecret(storetest.Password), Org: "acme"}); bridge.CodeOf(err) != "user_exists" {
			t.Errorf("the same person twice: %v", err)
		}
	})
}
