package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
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
}

const installLong = `Run the server under systemd: write a unit, enable it and start it.

The ACE_… variables of this environment, and HTTPS_PROXY and the like, become the settings of the server. They are written next to the
data directory, readable by their owner alone; each secret is in a file of its own, and none is in the unit or in the environment of
the process. Root gets a system unit with its data in /var/lib/ace-server, anybody else a unit of their own with the data in
~/.ace/server. The same command again changes what is different. A unit that this command did not write is not touched.`

func (runner *Runner) serverInstallCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{Use: "install", Short: "Run the server under systemd", Long: installLong, Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runner.runInstall(cmd.Context(), o) }}
	o.scopeFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.print, "print", false, "show the unit and the files, and write nothing")
	f.BoolVar(&o.reset, "reset", false, "drop variables that the installed unit has and this environment does not")
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

func (runner *Runner) runInstall(ctx context.Context, o installOptions) error {
	u, before, err := runner.newUnit(&o)
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
	changed, err := u.Write()
	if err != nil {
		return err
	}
	r.Written = true
	r.Started, r.Commands, err = runner.startUnit(ctx, o.systemctl(), u, changed || before == nil)
	if err != nil {
		return err
	}
	return runner.printInstall(r)
}

// startUnit has systemd enable the unit and start it. left are commands for somebody to run.
func (runner *Runner) startUnit(ctx context.Context, systemctl unit.Systemctl, u *unit.Unit, changed bool) (started bool, left []string, err error) {
	start := "start"
	if changed {
		start = "restart"
	}
	steps := [][]string{{"daemon-reload"}, {"enable", unit.Name}, {start, unit.Name}}
	left = []string{}
	if !systemctl.Runs() {
		for _, words := range steps {
			left = append(left, systemctl.Command(words...))
		}
		runner.Term.Note("systemd does not run here, so the server was not started. Where it runs: %s", strings.Join(left, " && "))
		return false, left, nil
	}
	for _, words := range steps {
		if err := systemctl.Call(ctx, u.Drain, words...); err != nil {
			return false, left, err
		}
	}
	if !u.System && !lingers() {
		left = append(left, "loginctl enable-linger")
		runner.Term.Note("systemd stops this server when you log out, unless you run: loginctl enable-linger")
	}
	return true, left, nil
}

// lingers reports whether the units of this user run without a login.
func lingers() bool {
	who, err := user.Current()
	if err == nil {
		_, err = os.Stat("/var/lib/systemd/linger/" + filepath.Base(who.Username))
	}
	return err == nil
}

func (runner *Runner) printInstall(r installed) error {
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
	})
}

// newUnit makes the unit of this environment. before is the one that is installed now; nil: none.
func (runner *Runner) newUnit(o *installOptions) (u *unit.Unit, before *unit.Installed, err error) {
	path, err := o.scope()
	if err != nil {
		return nil, nil, err
	}
	if before, err = unit.Find(path); err != nil {
		return nil, nil, err
	}
	u = &unit.Unit{System: o.system, Path: path, RunAs: o.runAs}
	if u.Binary, err = binary(*o); err != nil {
		return nil, nil, err
	}
	var e serverEnv
	if err := readEnv(&e); err != nil {
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
	if err := requirePlace(u, e.DatabaseURL.Reveal()); err != nil {
		return nil, nil, err
	}
	return u, before, requireKept(u, before, o.reset)
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
		case name == "ACE_DATA_DIR":
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

// requirePlace refuses paths that the server could not use from its unit.
func requirePlace(u *unit.Unit, database string) error {
	if err := u.Check(); err != nil {
		return err
	}
	refused := func(hint, format string, args ...any) error {
		return bridge.E(bridge.Invalid, bridge.CodeUnitPath, format, args...).WithHint("%s", hint)
	}
	if file, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if inside := filepath.IsAbs(file) && filepath.Dir(file) == u.DataDir; !inside {
			return refused("leave ACE_DATABASE_URL out, and name the directory in ACE_DATA_DIR", "the SQLite file of a unit is in the data directory")
		}
	}
	switch {
	case !u.System && u.RunAs != "":
		return term.Usage("--run-as is for a system unit: a user's unit runs as that user")
	case u.System && u.RunAs == "" && filepath.Dir(u.DataDir) != filepath.Dir(unit.SystemDataDir):
		return refused("sudo ACE_DATA_DIR="+term.Argument(u.DataDir)+" ace server install --run-as USER, where USER owns the directory",
			"systemd makes data directories directly in /var/lib only")
	}
	return nil
}

// requireKept refuses to replace a unit by one that has fewer variables.
func requireKept(u *unit.Unit, before *unit.Installed, reset bool) error {
	if before == nil || reset {
		return nil
	}
	var lost []string
	for _, name := range before.Variables {
		if !slices.ContainsFunc(u.Variables, func(v unit.Variable) bool {
			return strings.TrimSuffix(v.Name, "_FILE") == strings.TrimSuffix(name, "_FILE")
		}) {
			lost = append(lost, name)
		}
	}
	if before.DataDir != u.DataDir {
		return bridge.E(bridge.Conflict, bridge.CodeUnitVariables, "the installed server has its data in %s, and this one would have it in %s", before.DataDir, u.DataDir).
			WithHint("set ACE_DATA_DIR=%s, or run ace server uninstall first", term.Argument(before.DataDir))
	}
	if len(lost) > 0 {
		return bridge.E(bridge.Conflict, bridge.CodeUnitVariables, "the installed server has %s, which this environment has not", strings.Join(lost, ", ")).
			WithHint("set them again, or drop them: ace server install --reset")
	}
	return nil
}
