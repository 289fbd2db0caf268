package settings

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/page"
	"github.com/acebridge/ace/cloud/who"
)

// trust is the page with the variables with which a server trusts the organization.
type trust struct {
	page     *page.Writer
	accounts *accounts.Store
}

func (t *trust) mount(e *echo.Echo) {
	e.GET("/settings/trust", t.page.SignedIn(t.show))
	e.POST("/settings/trust", t.page.SignedIn(t.showSecret))
}

type trustView struct {
	Server  string // its URL as it was entered
	Uses    []trustUse
	Secret  string // the shared secret as a line, shown this once
	Connect string // the command that connects the server then
	Error   string
}

// trustUse says what to write where, for one way of running a server.
type trustUse struct{ ID, Title, How, Lines string }

func (t *trust) show(ctx echo.Context, p accounts.Principal) error {
	return t.render(ctx, p, bridge.Secret{})
}

// showSecret adds the variable that can sign as well; the audit log notes who saw it.
func (t *trust) showSecret(ctx echo.Context, p accounts.Principal) error {
	shown, err := t.accounts.ShowTrust(ctx.Request().Context(), who.Caller(ctx, p), p.Org)
	if err != nil {
		return err
	}
	return t.render(ctx, p, shown.JWTSecret.Secret)
}

func (t *trust) render(ctx echo.Context, p accounts.Principal, shared bridge.Secret) error {
	variables, err := t.accounts.Trust(p, p.Org)
	if err != nil {
		return err
	}
	view := trustView{Server: strings.TrimSpace(ctx.QueryParam("server"))}
	server := bridge.ServerURL("https://ace.company.com")
	status := http.StatusOK
	if view.Server != "" {
		if server, err = plainURL(view.Server); err != nil {
			status, view.Error, server = api.Status(err), page.Sentence(err), "https://ace.company.com"
		}
	}
	view.Uses, view.Connect = trustUses(variables.PublicKey, server), "ace connect --server "+string(server)
	if !shared.IsZero() {
		view.Secret = "ACE_CLOUD_JWT_SECRET=" + shared.Reveal()
	}
	return t.page.RenderSettings(ctx, p, status, "trust", "", view)
}

// plainURL reads a server's URL that needs no quotes in a shell, in an environment file or in YAML.
func plainURL(text string) (bridge.ServerURL, error) {
	server, err := bridge.CanonicalURL(text)
	if err != nil {
		return "", err
	}
	odd := strings.Trim(string(server), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/[]")
	if odd != "" {
		return "", bridge.E(bridge.Invalid, bridge.CodeURLMalformed, "the URL has characters that mean something else in a shell")
	}
	return server, nil
}

const serverLines = `ACE_CLOUD_PUBLIC_KEY=KEY
ACE_UPSTREAM_URL=http://127.0.0.1:8080`

const envLines = `ACE_ADDR=0.0.0.0:7777
ACE_PUBLIC_URL=SERVER
ACE_CLOUD_PUBLIC_KEY=KEY
# Signs the server's own user tokens; made once: openssl rand -base64 48 > /etc/ace/jwt-secret
ACE_JWT_SECRET_FILE=/etc/ace/jwt-secret
ACE_UPSTREAM_URL=http://127.0.0.1:8080`

const composeLines = `services:
  ace:
    image: acebridge/ace
    command: [server]
    restart: unless-stopped
    ports: ["7777:7777"]
    environment:
      ACE_ADDR: 0.0.0.0:7777
      ACE_DATA_DIR: /data
      ACE_PUBLIC_URL: "SERVER"
      ACE_CLOUD_PUBLIC_KEY: KEY
      ACE_JWT_SECRET_FILE: /run/secrets/jwt-secret
      ACE_UPSTREAM_URL: http://app:8080
    volumes: ["ace:/data"]
    secrets: [jwt-secret]
secrets:
  jwt-secret:
    file: ./jwt-secret
volumes:
  ace:`

// trustUses returns the lines for each way of running a server; a local one needs no URL and makes its own secrets.
func trustUses(publicKey string, server bridge.ServerURL) []trustUse {
	fill := strings.NewReplacer("SERVER", string(server), "KEY\n", publicKey+"\n")
	env := envLines
	if server.Loopback() {
		env = serverLines
	}
	uses := []trustUse{{"env", "An environment file", "For systemd (`EnvironmentFile=`), for `docker run --env-file`, or read by a shell.", fill.Replace(env)}}
	if !server.Loopback() {
		uses = append(uses, trustUse{"compose", "docker compose", "Beside your app, which is called app here. Make the secret once: `openssl rand -base64 48 > jwt-secret`", fill.Replace(composeLines)})
	}
	return append(uses, trustUse{"shell", "A terminal", "To try it on your own machine, with an app on port 8080.",
		"ACE_CLOUD_PUBLIC_KEY=" + publicKey + " ACE_UPSTREAM_URL=http://127.0.0.1:8080 ace server"})
}
