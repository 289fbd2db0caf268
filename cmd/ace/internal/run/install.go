package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cmd/ace/internal/cmdline"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
	"github.com/acebridge/ace/cmd/ace/internal/unit"
)

// installOptions are the flags of `ace server install` and `ace server uninstall`.
type installOptions struct {
	system, user bool
	print        bool
	reset        bool
	runAs        string
	yes          bool
}

// installed is what `ace server install` prints.
type installed struct {
	Scope    string         `json:"scope"` // system or user
	UnitPath string         `json:"unit_path"`
	Unit     string         `json:"unit"` // its text
	DataDir  string         `json:"data_dir"`
	Files    []unit.Written `json:"files"`
	Written  bool           `json:"written"` // false: with --print
	Started  bool           `json:"started"`
	Commands []string       `json:"commands"` // left for somebody to run
	Joined   *api.Joined    `json:"joined,omitempty"`
}

const installLong = `Run the server under systemd: write a unit, enable it and start it.

The ACE_… variables of this environment, and HTTPS_PROXY and the like, become the settings of the server. They are written next to the
data directory, readable by their owner alone; each secret is in a file of its own, and none is in the unit or in the environment of
the process. Root gets a system unit with its data in /var/lib/ace-server, anybody else a unit of their own with the data in
~/.ace/server. The same command again changes what is different. A unit that this command did not write is not touched.

With a join token, on stdin (-), in a file or in ACE_JOIN_TOKEN, the server joins as soon as it runs. The token is not kept: only where
systemd does not run, it waits in the data directory for the first start, which removes it.`

// installing builds the commands that put a server under systemd.
type installing struct{ linking }

// installCommand is `ace server install`.
func (runner installing) installCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{Use: "install [-|file:PATH]", Short: "Run the server under systemd", Long: installLong, Args: cmdline.SomeArgs(0, 1, "join token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readServerEnv(true)
			if err != nil {
				return err
			}
			var token bridge.Secret
			if len(args) > 0 || !e.JoinToken.IsZero() {
				if token, err = runner.joinToken(&e, args); err != nil {
					return err
				}
			}
			return runner.runInstall(cmd.Context(), &e, o, token)
		}}
	o.scopeFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.print, "print", false, "show the unit and the files, and write nothing")
	f.BoolVar(&o.reset, "reset", false, "drop variables that the installed unit has and this environment does not")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask before joining")
	f.StringVar(&o.runAs, "run-as", "", "the `USER` that a system unit runs as; one that systemd makes up by default")
	return cmd
}

func (o *installOptions) scopeFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.system, "system", false, "a system unit; the default for root")
	cmd.Flags().BoolVar(&o.user, "user", false, "a unit of this user; the default for anybody else")
}

// scope settles whether the unit is the system's, and finds its path.
func (o *installOptions) scope() (unitPath string, err error) {
	if o.system && o.user {
		return "", term.Usage("--system and --user exclude each other")
	}
	o.system = !o.user && (o.system || os.Geteuid() == 0)
	if o.system {
		return "/etc/systemd/system/" + unit.Name, nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "systemd", "user", unit.Name), err
}

// systemctl is for a settled scope.
func (o *installOptions) systemctl() unit.Systemctl {
	dir, _ := profile.OutsideVariable("XDG_RUNTIME_DIR") // without one, no systemd is found
	return unit.Systemctl{System: o.system, Runtime: dir}
}

func (runner installing) runInstall(ctx context.Context, e *serverEnv, o installOptions, token bridge.Secret) error {
	u, before, err := runner.newUnit(e, &o)
	if err != nil {
		return err
	}
	scope := map[bool]string{true: "system", false: "user"}[u.System]
	r := installed{Scope: scope, UnitPath: u.Path, Unit: u.Text(), DataDir: u.DataDir, Files: u.Files(), Commands: []string{}}
	if o.print {
		return runner.printInstall(r)
	}
	if runtime.GOOS != "linux" {
		return bridge.E(bridge.Invalid, bridge.CodeSystemd, "systemd is a part of Linux, and this is %s", runtime.GOOS).
			WithHint("have your own supervisor run: %s server", u.Binary)
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		return bridge.E(bridge.Invalid, bridge.CodeSystemd, "there is no systemctl here, so nothing was written").
			WithHint("have your own supervisor run: %s server", u.Binary)
	}
	if !token.IsZero() {
		parsed, err := bridge.ParseJoinToken(token)
		if err == nil {
			err = runner.agreeToJoin(parsed, o.yes)
		}
		if err != nil {
			return err
		}
	}
	changed, err := u.Write()
	if err != nil {
		return err
	}
	r.Written = true
	r.Started, r.Commands, err = u.Start(ctx, o.systemctl(), changed || before == nil)
	if err != nil {
		return err
	}
	switch left := strings.Join(r.Commands, " && "); {
	case !r.Started:
		runner.Term.Note("systemd does not run here, so the server was not started. Where it runs: %s", left)
	case left != "":
		runner.Term.Note("systemd stops this server when you log out, unless you run: %s", left)
	}
	if !token.IsZero() {
		if r.Joined, err = runner.joinInstalled(ctx, e, u, token, r.Started); err != nil {
			return err
		}
	}
	return runner.printInstall(r)
}

func (runner installing) printInstall(r installed) error {
	return runner.Term.Print(r, func(w io.Writer) {
		if !r.Written {
			term.Row(w, "FILE", "MODE", "VARIABLES")
			for _, f := range r.Files {
				term.Row(w, f.Path, f.Mode, strings.Join(f.Variables, " "))
			}
			_, _ = fmt.Fprintf(w, "\n%s", term.PrintableLines(r.Unit))
			return
		}
		term.Row(w, "Unit", r.UnitPath)
		term.Row(w, "Settings", r.DataDir+".env")
		term.Row(w, "Data", r.DataDir)
		if r.Started {
			term.Row(w, "State", "started")
		} else {
			term.Row(w, "State", "written, not started")
		}
		if r.Joined != nil {
			term.Row(w, "Joined", r.Joined.Org+" as "+r.Joined.Name)
		}
	})
}

// newUnit makes the unit of this environment. before is the one that is installed now; nil: none.
func (runner installing) newUnit(e *serverEnv, o *installOptions) (u *unit.Unit, before *unit.Installed, err error) {
	path, err := o.scope()
	if err != nil {
		return nil, nil, err
	}
	if before, err = unit.Find(path); err != nil {
		return nil, nil, err
	}
	if o.runAs != "" && !o.system {
		return nil, nil, term.Usage("--run-as is for a system unit: a user's unit runs as that user")
	}
	u = &unit.Unit{System: o.system, Path: path, RunAs: o.runAs}
	if u.Binary, err = binary(*o); err != nil {
		return nil, nil, err
	}
	if e.DataDir == "" && o.system {
		e.DataDir = unit.SystemDataDir
	}
	_, s, err := e.config()
	if err != nil {
		return nil, nil, err
	}
	warnOfVariables(slog.New(slog.NewTextHandler(runner.Term.Err, nil)))
	if u.DataDir, err = filepath.Abs(s.dataDir); err != nil {
		return nil, nil, err
	}
	u.Drain = s.drain
	if _, port, err := net.SplitHostPort(s.addr); err == nil {
		n, err := strconv.Atoi(port)
		u.LowPort = err == nil && n > 0 && n < 1024
	}
	if u.Variables, err = e.unitVariables(u.DataDir); err != nil {
		return nil, nil, err
	}
	if err := u.Check(e.DatabaseURL); err != nil || o.reset {
		return u, before, err
	}
	return u, before, u.RequireKept(before)
}

// binary is the path of this program. It must be one that lasts and that systemd can run.
func binary(o installOptions) (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	switch {
	case err != nil || o.print:
		return path, err
	case term.Temporary(path):
		return "", bridge.E(bridge.Invalid, bridge.CodeUnitPath, "this ace was built by go run and is gone afterwards").
			WithHint("go build -o ace ./cmd/ace, put ace in its place, and run it from there")
	case o.system && unit.Hidden(path):
		return "", bridge.E(bridge.Invalid, bridge.CodeUnitPath, "a system unit cannot run %s, which is in a home or a temporary directory", path).
			WithHint("install -m 755 %s /usr/local/bin/ace && /usr/local/bin/ace server install", term.Argument(path))
	}
	return path, nil
}

// pathVariables name files that the server reads.
var pathVariables = []string{"ACE_TLS_CERT", "ACE_TLS_KEY", "ACE_SCOPES_FILE"}

// outsideVariables are variables of other programs that the server's libraries obey.
var outsideVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// unitVariables are the variables of this environment, as a unit needs them.
func (e *serverEnv) unitVariables(dataDir string) ([]unit.Variable, error) {
	out := []unit.Variable{{Name: "ACE_DATA_DIR", Value: bridge.NewSecret(dataDir)}}
	var wrong error
	addFile := func(name, path string) {
		absolute, err := filepath.Abs(path)
		if err != nil {
			wrong = err
		}
		out = append(out, unit.Variable{Name: name, Kind: unit.File, Value: bridge.NewSecret(absolute)})
	}
	eachVariable(reflect.ValueOf(e).Elem(), func(name string, field reflect.Value) {
		_, set := os.LookupEnv(name)
		path, hasFile := os.LookupEnv(name + "_FILE")
		switch {
		case name == "ACE_DATA_DIR" || name == "ACE_JOIN_TOKEN": // the one is there already, the other is used once
		case hasFile:
			addFile(name+"_FILE", path)
		case !set:
		case slices.Contains(pathVariables, name):
			addFile(name, field.String())
		case field.Kind() != reflect.String:
			out = append(out, unit.Variable{Name: name, Kind: unit.Secret, Value: field.Interface().(bridge.Secret)})
		default:
			out = append(out, unit.Variable{Name: name, Value: bridge.NewSecret(field.String())})
		}
	})
	for _, name := range outsideVariables {
		value, err := profile.OutsideVariable(name)
		if err != nil {
			wrong = err
		} else if value != "" {
			out = append(out, unit.Variable{Name: name, Value: bridge.NewSecret(value)})
		}
	}
	return out, wrong
}
