// Package selfcheck has the command `ace server doctor`: it checks a server on its own machine.
//
//	settings ──► data directory ──► database ──► the running server ─┬─► trust ──► cloud: proxy, DNS, TCP, TLS, clock, keys
//	                                                                 ├─► its links
//	                                                                 └─► ready, and its app
//
// It works on a server that runs and on one that does not start: what only a running one knows is then skipped. It changes nothing:
// it runs no migration and does not take the database away from a running server. What is checked on the network is in
// [github.com/acebridge/ace/bridge/doctor].
package selfcheck

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/bridge/apiclient"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Machine is the server as its settings describe it.
type Machine struct {
	DataDir  string       // empty: none
	Database string       // its URL
	Trust    bridge.Trust // zero: none in the settings
	Upstream *url.URL     // the app; nil: none
	Health   *url.URL     // of the app; nil: none
	Operator *apiclient.Operator
	Secrets  []string // that must not be in a bundle
	Unknown  []string // what there is to say of variables that do nothing
}

// Doctor checks one server. Settings is required.
type Doctor struct {
	// Settings reads the settings. Its error is the fault.
	Settings func() (Machine, error)
	Proxies  doctor.Proxies
	Agent    string

	machine Machine
	status  *api.ServerStatus // nil: no server runs
	path    *doctor.Path
}

// Run makes all checks, and returns how the running server is; nil means that none runs.
func (d *Doctor) Run(ctx context.Context, limit time.Duration) (doctor.Report, *api.ServerStatus) {
	d.path = &doctor.Path{Name: "cloud", Proxies: d.Proxies, MinTLS: tls.VersionTLS13}
	cloud := &doctor.Cloud{Path: d.path, Agent: d.Agent}
	r := doctor.Run(ctx, limit, []doctor.Check{
		{Name: "settings", Title: "settings", Do: d.checkSettings},
		{Name: "data_dir", Title: "data directory", Needs: []string{"settings"}, Do: d.checkDataDir},
		{Name: "database", Title: "database", Needs: []string{"settings"}, Do: d.checkDatabase},
		{Name: "running", Title: "server", Needs: []string{"settings"}, Do: d.checkRunning},
		{Name: "trust", Title: "trust", Needs: []string{"settings"}, Do: d.checkTrust},
	}, nil)
	var checks []doctor.Check
	for _, c := range cloud.Checks() {
		c.Needs = append(c.Needs, "trust")
		checks = append(checks, c)
	}
	keys := cloud.CheckTrust("cloud_keys", "cloud: keys", d.machine.Trust)
	if d.machine.Trust.Configured() || d.path.URL == "" {
		checks = append(checks, keys)
	}
	r.Add(ctx, limit, append(checks,
		doctor.Check{Name: "link", Title: "link", Needs: []string{"running"}, Do: d.checkLink},
		doctor.Check{Name: "ready", Title: "ready", Needs: []string{"running"}, Do: d.checkReady},
		doctor.Check{Name: "app", Title: "app", Needs: []string{"settings"}, Do: d.checkApp}), nil)
	return r, d.status
}

func (d *Doctor) checkSettings(context.Context) (found string, err error) {
	d.machine, err = d.Settings()
	if err != nil {
		return "", err
	}
	return strings.Join(append([]string{"valid"}, d.machine.Unknown...), "; "), nil
}

// checkDataDir looks at who may enter the data directory, and read what is in it.
func (d *Doctor) checkDataDir(context.Context) (string, error) {
	dir := d.machine.DataDir
	if dir == "" {
		return "none: ACE_DATA_DIR is not set", nil
	}
	unusable := func(err error) error {
		return bridge.E(bridge.Invalid, bridge.CodeDataDirUnusable, "%s cannot be used: %s", dir, withoutPath(err)).
			WithHint("run this as the server's user, or: chown -R USER %s", bridge.ShellWord(dir))
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dir + " does not exist yet; a start makes it", nil
	case err == nil && !info.IsDir():
		err = errors.New("it is not a directory")
	}
	if err != nil {
		return "", unusable(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", unusable(err)
	}
	open := []string{}
	if info.Mode().Perm()&0o077 != 0 {
		open = append(open, dir)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().Perm()&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
			open = append(open, filepath.Join(dir, entry.Name()))
		}
	}
	if len(open) > 0 && info.Mode().Perm()&0o077 != 0 { // else nobody gets as far as the files
		return "", bridge.E(bridge.Invalid, bridge.CodeDataDirOpen, "others may read or change %s", strings.Join(open[:min(len(open), 3)], ", ")).
			WithHint("chmod -R go= %s", bridge.ShellWord(dir))
	}
	return dir + ", for its owner only", nil
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// checkDatabase opens the database and reads from it.
func (d *Doctor) checkDatabase(ctx context.Context) (string, error) {
	path, isFile := strings.CutPrefix(d.machine.Database, "sqlite:")
	if isFile && path != ":memory:" {
		info, err := os.Stat(strings.TrimPrefix(path, "//"))
		if gone := errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0; gone { // opening it would make it
			return d.lacksDatabase(path)
		}
	}
	db, err := sqldb.Open(ctx, d.machine.Database)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM database_facts").Scan(&tables); err != nil {
		e := bridge.AsError(err)
		if e.Code == bridge.CodeInternal {
			return "answers, and is empty; a start fills it", nil
		}
		return "", e
	}
	return string(db.Dialect) + ", answers", nil
}

// lacksDatabase says whether it is a fault that there is no file.
func (d *Doctor) lacksDatabase(path string) (string, error) {
	if d.machine.DataDir != "" {
		known, err := sqldb.ReadState(sqldb.StateFile(d.machine.DataDir, "server"))
		if err != nil {
			return "", err
		}
		if known.DatabaseID != "" {
			return "", bridge.E(bridge.Unavailable, bridge.CodeDatabaseMissing, "%s is missing or empty, although it was used before", path).
				WithHint("restore a backup of it; if an empty database is meant: ace server --new-database")
		}
	}
	return "none yet; a start makes it", nil
}

// checkRunning asks the running server how it is, over its socket.
func (d *Doctor) checkRunning(ctx context.Context) (string, error) {
	if d.machine.Operator == nil {
		return "", doctor.Skip("the server has no data directory, and so no socket; set ACE_DATA_DIR")
	}
	status, err := d.machine.Operator.Status(ctx)
	if err != nil {
		return "", err
	}
	d.status = &status
	at := cmp.Or(status.Listening, "no port")
	return fmt.Sprintf("runs since %s, version %s, %s", status.StartedAt.UTC().Format(time.RFC3339), status.Version, at), nil
}

// checkTrust says which cloud the server trusts: by its settings, or by a join.
func (d *Doctor) checkTrust(context.Context) (string, error) {
	if t := d.machine.Trust; t.Configured() {
		d.path.URL = t.Issuer
		return fmt.Sprintf("organization %s of %s, by the settings", t.Org, t.Issuer), nil
	}
	switch {
	case d.status == nil:
		return "", doctor.Skip("the settings name no cloud; whether the server has joined one is known while it runs")
	case d.status.Trust == nil:
		return "", doctor.Skip("the server trusts no cloud; to have it join one: ace server join -")
	}
	d.path.URL = d.status.Trust.Cloud
	return fmt.Sprintf("organization %s of %s, by a join", d.status.Trust.Org, d.status.Trust.Cloud), nil
}

// linkHints are the fixes for links that are down, by why they are.
var linkHints = map[bridge.Code]string{
	bridge.CodeLinkRefused:      "the connection was removed or replaced; join again: ace server join -",
	bridge.CodeLinkUnreadable:   "set ACE_JWT_SECRET to the value from before, or join again: ace server join -",
	bridge.CodeCloudUnreachable: "see the checks of the cloud above",
	bridge.CodeLinkSilent:       "look at the connection's page in the dashboard: it says what the cloud's probe met",
}

// checkLink looks at the links of each key: one that is up will do.
func (d *Doctor) checkLink(context.Context) (string, error) {
	probe := time.Time{}
	var down *bridge.Error
	for _, key := range d.status.Links {
		if key.ProbeAt != nil && key.ProbeAt.After(probe) {
			probe = *key.ProbeAt
		}
		if down == nil {
			down = linkDown(key)
		}
	}
	if code := d.status.Code; down == nil && (code == bridge.CodeNoLink || code == bridge.CodeLinkSilent) {
		down = bridge.E(bridge.Unreachable, code, "%s", d.status.Cause).WithHint("%s", cmp.Or(linkHints[code], d.status.Hint, joinHint))
	}
	switch {
	case down != nil:
		return "", down
	case len(d.status.Links) == 0:
		return "none, and none is wanted", nil
	case probe.IsZero():
		return "up, and no probe has come over it yet", nil
	}
	return fmt.Sprintf("up, the last probe came %s ago", time.Since(probe).Round(time.Second)), nil
}

const joinHint = "join an organization: ace server join -"

// linkDown says why none of a key's links is up, or returns nil.
func linkDown(key api.ServerLinks) *bridge.Error {
	down := bridge.E(bridge.Unreachable, bridge.CodeNoLink, "the server has no link for the key %s", key.KeyID).
		WithHint("%s", cmp.Or(linkHints[bridge.CodeNoLink], joinHint))
	for _, link := range key.Links {
		switch {
		case link.Up:
			return nil
		case link.Code != "":
			down = bridge.E(bridge.Unreachable, link.Code, "%s", link.Cause).WithHint("%s", cmp.Or(linkHints[link.Code], joinHint))
		}
	}
	return down
}

// checkReady says why a running server does not do its work. What is about links and the app has checks of its own.
func (d *Doctor) checkReady(context.Context) (string, error) {
	switch s := d.status; {
	case s.Ready:
		return "the server does its whole work", nil
	case s.Code == bridge.CodeNoLink, s.Code == bridge.CodeLinkSilent, s.Code == bridge.CodeAppDown:
		return "the server itself works", nil
	default:
		return "", bridge.E(bridge.Unavailable, s.Code, "%s", s.Cause).WithHint("%s", s.Hint)
	}
}

// checkApp asks the app as the server does: by ACE_UPSTREAM_HEALTH, or with a connection.
func (d *Doctor) checkApp(ctx context.Context) (string, error) {
	app := d.machine.Upstream
	if app == nil {
		return "none: ACE_UPSTREAM_URL is not set", nil
	}
	down := func(format string, args ...any) error {
		return bridge.E(bridge.Unreachable, bridge.CodeAppDown, "the app at %s does not answer: %s", app.Host, fmt.Sprintf(format, args...)).
			WithHint("start the app, or correct ACE_UPSTREAM_URL")
	}
	if d.machine.Health != nil {
		return d.askApp(ctx, down)
	}
	address := app.Host
	if app.Port() == "" {
		address = net.JoinHostPort(app.Hostname(), map[string]string{"http": "80", "https": "443"}[app.Scheme])
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil && app.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: app.Hostname(), MinVersion: tls.VersionTLS12})
		err = secure.HandshakeContext(ctx)
	}
	if conn != nil {
		_ = conn.Close()
	}
	if err != nil {
		return "", down("%s", apiclient.WhyUnreachable(err))
	}
	return app.Host + " answers", nil
}

// askApp asks the app at the address for it.
func (d *Doctor) askApp(ctx context.Context, down func(format string, args ...any) error) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.machine.Health.String(), nil)
	if err != nil {
		return "", down("ACE_UPSTREAM_HEALTH cannot be asked")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return "", down("%s", apiclient.WhyUnreachable(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= http.StatusBadGateway {
		return "", down("it answers %s at ACE_UPSTREAM_HEALTH", resp.Status)
	}
	return fmt.Sprintf("%s answers %d", d.machine.Health.Host, resp.StatusCode), nil
}
