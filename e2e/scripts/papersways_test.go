package scripts

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/e2e/world"
)

// Why no test can run a command of the papers as it stands.
const (
	asks  = "it asks at a terminal; e2e/terminal answers it there"
	ports = "it takes the ports of every ace dev; its line with port 0 is run"
)

func password(*papers) string { return world.Password }

func secretOf(p *papers) string { return p.key.Key.Reveal() }

func keyPair(p *papers) string { return p.key.KeyID + "." + p.key.Key.Reveal() }

func adminToken(p *papers) string { return p.TokenOf("admin") }

func operatorToken(p *papers) string { return p.OperatorToken.Reveal() }

func personalToken(p *papers) string { return p.CloudKey(bridge.KindPAT) }

func serverKey(p *papers) string {
	key, err := p.Operator.CreateKey(p.T.Context(), api.CreateKeyRequest{Name: "by hand"})
	if err != nil {
		p.T.Fatal(err)
	}
	return key.Key.Reveal()
}

func joinToken(p *papers) string {
	made, err := p.Admin.CreateJoinToken(p.T.Context(), api.JoinTokenRequest{})
	if err != nil {
		p.T.Fatal(err)
	}
	p.joinToken = made.ID
	return made.Token.Reveal()
}

// someToken makes the join token that a command names.
func someToken(_ *testing.T, p *papers, _ string) { joinToken(p) }

func ofCloud(p *papers) bridge.ServerURL  { return p.CloudURL }
func ofServer(p *papers) bridge.ServerURL { return p.URL }

// file puts a secret into a file of the home.
func file(name string, secret func(*papers) string) func(*testing.T, *papers, string) {
	return func(t *testing.T, p *papers, home string) { p.write(t, home, name, secret(p)) }
}

// gone has removed somebody from the organization.
func gone(email string) func(*testing.T, *papers, string) {
	return func(t *testing.T, p *papers, _ string) {
		t.Helper()
		members, err := p.Admin.Members(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.Email != email {
				continue
			}
			if _, err := p.Admin.RemoveMember(t.Context(), "acme", m.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// invite invites Ada, who has left.
func invite(t *testing.T, p *papers, home string) {
	gone("ada@company.com")(t, p, home)
	if _, err := p.Admin.Invite(t.Context(), "acme", api.NewInvitation{Email: "ada@company.com"}); err != nil {
		t.Fatal(err)
	}
}

// open invites whoever has the link.
func open(t *testing.T, p *papers, _ string) {
	invitation, err := p.Admin.Invite(t.Context(), "acme", api.NewInvitation{})
	if err != nil {
		t.Fatal(err)
	}
	_, p.invited, _ = strings.Cut(invitation.URL.Reveal(), "token=")
}

// moving has the admin's account wait for another address.
func moving(t *testing.T, p *papers, _ string) {
	if _, err := p.Admin.RequestAddress(t.Context(), api.AddressRequest{Email: "new@acme.test", Password: bridge.NewSecret(world.Password).Disclose()}); err != nil {
		t.Fatal(err)
	}
}

// refuse has the server refuse a request of a key that it has not.
func refuse(t *testing.T, p *papers, _ string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL.Join("/whoami"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Ace-Api-Key", bridge.NewKey(bridge.KindSK, [16]byte{1}).Text().Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	p.refused = resp.Header.Get("X-Request-Id")
}

// ways are the commands of the papers that are more than typed. Everything else exits with 0, with nothing on its stdin.
var ways = map[string]how{
	"go test ./...":                 {not: "it would run itself"},
	"go run ./cmd/ace dev":          {not: ports},
	"ace dev":                       {not: ports},
	"ace dev --nat":                 {twin: "ace dev --nat --cloud-addr 127.0.0.1:0", until: "Ctrl-C"},
	"ace dev --data-dir ./dev-data": {not: ports},
	"ace connect":                   {not: "it connects http://localhost:7777; the tour names a server of the test's"},
	"ace -i":                        {not: asks},
	"ace disconnect":                {not: asks},
	"ace auth switch":               {not: asks},
	"ace auth address":              {not: asks},

	"ace login":           {nobody: true, twin: "ace login --no-browser"}, // without a terminal it exits with 4
	"ace login --browser": {nobody: true},
	"ace login --no-browser --env cloud.company.com":                                           {nobody: true},
	"ace auth login --env cloud.company.com":                                                   {nobody: true, twin: "ace auth login --env cloud.company.com --no-browser"},
	"ace auth login --env cloud.company.com --non-interactive":                                 {nobody: true, exit: world.ExitNotLoggedIn},
	"ace auth login --non-interactive":                                                         {},
	"ace login pat --token -":                                                                  {nobody: true, stdin: personalToken},
	"ace login pat --token file:/run/secrets/ace-token":                                        {nobody: true, before: file("ace-token", personalToken)},
	"ace login api-key --name ci --secret -":                                                   {nobody: true, stdin: secretOf},
	"ace login api-key --name ci --secret file:key.txt":                                        {nobody: true, before: file("key.txt", secretOf)},
	"ace login api-key --name ci --secret file:/run/secrets/ace-key --organization-id org-123": {nobody: true, before: file("ace-key", secretOf)},
	"ace auth login api-key --name ci --secret -":                                              {nobody: true, stdin: secretOf},
	"ace auth login-api-key --key - --service-name terraform-prod":                             {nobody: true, stdin: keyPair},
	"ace auth login pat --token -":                                                             {nobody: true, stdin: personalToken},
	"ace auth login-token":                                                                     {stdin: adminToken},
	"ace auth login-token --token -":                                                           {stdin: adminToken},
	"ace auth login-token --token file:token.txt":                                              {before: file("token.txt", adminToken)},
	"ace login --email ada@company.com --password-stdin":                                       {nobody: true, stdin: password},
	"ace login --email ada@company.com --password-stdin --otp 123456":                          {nobody: true, stdin: password},
	"ace logout":                                        {guest: "acme"},
	"ace logout --profile staging":                      {guest: "acme"},
	"ace auth logout":                                   {guest: "acme"},
	"ace auth address ada@company.com":                  {twin: "ace auth address ada@company.com --password-stdin", stdin: password},
	"ace auth address ada@new.company.com":              {twin: "ace auth address ada@new.company.com --password-stdin", stdin: password},
	"ace auth address ada@company.com --password-stdin": {stdin: password},
	"ace auth address --cancel":                         {before: moving},

	"ace api-key create --server https://ace.company.com --token - --name terraform-prod --description \"IaC for production\"": {stdin: operatorToken},
	"ace connect --server https://ace.company.com --api-key -":                                                                 {stdin: serverKey},
	"ace connections unshare production":                                                                                       {twin: "ace connections unshare production --yes"},                            // without a terminal
	"ace why 0RDZ6ZKMQ4":                                                                                                       {twin: "ace why 0RDZ6ZKMQ4 --server https://ace.company.com", before: refuse}, // else that of localhost:7777
	"ace why 0RDZ6ZKMQ4 --server https://ace.company.com":                                                                      {before: refuse},

	"ace org create acme --name \"Acme Inc.\"":                          {twin: "ace org create another --name \"Acme Inc.\""},
	"ace org invite --email ada@company.com":                            {before: gone("ada@company.com")},
	"ace org invite --role member --email ann@company.com --expires 7d": {before: gone("ann@company.com")},
	"ace org join \"https://cloud.company.com/invite?token=TOKEN\"":     {guest: "other", before: open},
	"ace org join-token revoke 01a1fc30-3fc5-7603-bc83-1f1313f67ee9":    {refuses: "there is no active join token"},
	"ace org leave":                    {guest: "acme", twin: "ace org leave --yes"},
	"ace org switch acme":              {guest: "acme"},                                // its session is another one then
	"ace org remove ada@company.com":   {twin: "ace org remove ada@company.com --yes"}, // without a terminal
	"ace org remove ann@company.com":   {twin: "ace org remove ann@company.com --yes"},
	"ace org withdraw ada@company.com": {before: invite},

	"ace cloud":                      {until: "cloud is up"},
	"ace server":                     {until: "server is up"},
	"ace server join -":              {stdin: joinToken, until: "joined"},
	"ace server leave":               {refuses: "has joined no organization", twin: "ace server leave --yes"},
	"ace server leave --yes --force": {refuses: "has joined no organization"},
	"ace server status":              {exit: world.ExitUnreachable}, // none runs
	"ace server status -o json":      {exit: world.ExitUnreachable},
	"ace server join file:/run/secrets/join-token --name warehouse": {before: file("join-token", joinToken), until: "joined"},
	"ace server install": {twin: "ace server install --user --print"}, // it changes the machine
	"ace org join-token revoke 0198a3c1-7d21-7c3e-8f00-0123456789ab": {before: someToken},
	"ace server doctor -o json":                                      {exit: world.ExitFailed},
	"ace server doctor --bundle support.zip":                         {exit: world.ExitFailed},
	"ace server doctor":                                              {exit: world.ExitFailed},                    // it finds that none runs
	"ace server install --print":                                     {twin: "ace server install --user --print"}, // root's is a system unit
	"ace server install -":                                           {not: "it asks for a token; install.txtar has it read one"},
	"ace server install --system --run-as ace":                       {not: "it changes the machine; install.txtar installs units of a user"},
	"ace server uninstall":                                           {twin: "ace server uninstall --user --yes"}, // without a terminal
	"ace server uninstall --yes":                                     {twin: "ace server uninstall --user --yes"},
	"ace dev --cloud-addr 127.0.0.1:0 --server-addr 127.0.0.1:0":     {until: "Ctrl-C"},
	"ace dev app --addr 127.0.0.1:8080":                              {twin: "ace dev app --addr 127.0.0.1:0", until: "answers at"},
	"ace cloud health":                                               {address: ofCloud},
	"ace server health":                                              {address: ofServer},
	"ace cloud accept-clock":                                         {refuses: "the clock is not behind"},
	"ace server accept-clock":                                        {refuses: "the clock is not behind"},
	"ace cloud accept-missing-key ab12cd34":                          {refuses: "no row needs a missing encryption key"},
	"ace cloud user add --email ada@company.com --org acme":          {twin: "ace cloud user add --email eve@company.com --org acme --password-stdin", stdin: password},
	"ace cloud user add --email ada@company.com --name \"Ada Admin\" --org acme --role owner": {twin: "ace cloud user add --email eve@company.com --name \"Ada Admin\" --org acme --role owner --password-stdin", stdin: password},
	"ace cloud user add --email ada@company.com --org acme --password-stdin":                  {twin: "ace cloud user add --email eve@company.com --org acme --password-stdin", stdin: password},

	"curl -N -H \"X-Ace-Api-Key: $KEY\" https://cloud.example.com/v1/connections/events": {until: "retry:"},
}
