// Package report shows what a doctor found, and packs it into a file for support.
//
// `ace doctor` and `ace server doctor` share it. On a terminal a report is a table with one line a check, and with -o json the
// checks as they are. A bundle is a zip file that only its owner may read:
//
//	README.txt      what is in it
//	about.json      the version of ace, the machine's system, and when
//	checks.json     the report
//	settings.json   the variables that are set, by name; secrets only say that they are set
//	log.txt         the last lines of a running server's log
//	*.json          what the command adds
//
// All of it is scrubbed before it is written ([term.Scrubber]): by the names of settings, by the values that are known to be secret,
// and by what keys, tokens and passwords look like.
package report

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/doctor"
	"github.com/acebridge/ace/cmd/ace/internal/files"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// Reporter shows and packs reports. Its fields are everything it may use.
type Reporter struct {
	Term      *term.Terminal // required
	Version   string         // of this program
	Variables []string       // of ace: others are mistyped, and their values are not shown
}

// Show prints a report, and returns its faults as the command's failure.
func (p *Reporter) Show(r doctor.Report) error {
	err := p.Term.Print(r, func(w io.Writer) {
		term.Row(w, "CHECK", "STATE", "RESULT")
		for _, c := range r.Checks {
			term.Row(w, c.Title, string(c.State), p.Term.AsTyped(line(c)))
		}
	})
	return errors.Join(err, r.Err())
}

// line is what a check found, in one line.
func line(c doctor.Result) string {
	switch {
	case c.State == doctor.OK:
		return c.Found
	case c.State == doctor.Skipped:
		return c.Cause
	case c.Fix == "":
		return fmt.Sprintf("%s (%s)", c.Cause, c.Code)
	}
	return fmt.Sprintf("%s (%s); fix: %s", c.Cause, c.Code, c.Fix)
}

// Bundle is what goes into a file for support, besides what every bundle has.
type Bundle struct {
	Command string // that made it
	Report  doctor.Report
	Log     []string       // lines; nil: there is no log
	More    map[string]any // further files by name, as JSON
	Secrets []string       // values that must not be in it, besides those in the environment
}

const readme = `This is what %q found on this machine, for whoever helps with it.

about.json     the version of ace, the system, and when this was made
checks.json    what was checked, and how it went
settings.json  the variables that are set; of secrets only that they are set
log.txt        the last lines of the server's log, if a server was running

Keys, tokens, passwords and cookies were removed. Addresses, names of hosts and people, and IDs are still in it: look through it before
you pass it on.
`

// CheckFile refuses a file that exists, before anything is done for it. The empty name means that no bundle is wanted.
func (p *Reporter) CheckFile(path string) error {
	if _, err := os.Lstat(path); path != "" && err == nil {
		return errExists
	}
	return nil
}

var errExists = bridge.E(bridge.Conflict, bridge.CodeBundleExists, "--bundle: the file exists already").WithHint("name another file, or remove it")

// Write makes the file, which must not exist yet.
func (p *Reporter) Write(path string, b Bundle) error {
	content, err := p.pack(b)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the person names it
	switch {
	case errors.Is(err, fs.ErrExist):
		return errExists
	case err != nil:
		return fmt.Errorf("--bundle: %w", files.WithoutPath(err))
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("--bundle: %w", files.WithoutPath(err))
	}
	p.Term.Note("The bundle is written. Look through it before you pass it on.")
	return nil
}

// pack makes the zip file, scrubbed.
func (p *Reporter) pack(b Bundle) ([]byte, error) {
	scrubber := p.Term.Scrubber(b.Secrets...)
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	add := func(name, text string) error {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now().UTC()})
		if err == nil {
			_, err = io.WriteString(w, scrubber.Scrub(text))
		}
		return err
	}
	parts := map[string]any{"about.json": p.about(), "checks.json": b.Report, "settings.json": p.settings(os.Environ())}
	maps.Copy(parts, b.More)
	err := add("README.txt", fmt.Sprintf(readme, b.Command))
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		raw, jsonErr := json.MarshalIndent(parts[name], "", "  ")
		err = errors.Join(err, jsonErr, add(name, string(raw)+"\n"))
	}
	if b.Log != nil {
		err = errors.Join(err, add("log.txt", strings.Join(b.Log, "\n")+"\n"))
	}
	err = errors.Join(err, archive.Close())
	return out.Bytes(), err
}

// about is the machine, without its name.
type about struct {
	Version string    `json:"version"`
	Go      string    `json:"go"`
	System  string    `json:"system"`
	CPUs    int       `json:"cpus"`
	Time    time.Time `json:"time"`
	Zone    string    `json:"zone"`
}

func (p *Reporter) about() about {
	now := time.Now()
	zone, _ := now.Zone()
	return about{p.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, runtime.NumCPU(), now.UTC().Truncate(time.Second), zone}
}

// others are the variables that change how ace's calls go, besides its own.
var others = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "CI", "TERM"}

// What stands in place of a value.
const (
	isSet   = "(set, and secret)"
	unknown = "(set, and not a variable of ace)"
)

// settings are the variables that are set, by name.
func (p *Reporter) settings(environ []string) map[string]string {
	out := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		setting := strings.TrimSuffix(name, "_FILE")
		switch {
		case slices.Contains(others, name), slices.Contains(p.Variables, name):
			out[name] = p.shown(name, value)
		case name != setting && slices.Contains(p.Variables, setting):
			out[name] = p.shown("", value) // a path
		case strings.HasPrefix(strings.ToUpper(name), "ACE_"):
			out[bridge.Printable(name)] = unknown
		}
	}
	return out
}

// shown is the value of a variable as far as it is not secret: of a URL what names the place.
func (p *Reporter) shown(name, value string) string {
	if slices.Contains(p.Term.SecretVariables, name) {
		return isSet
	}
	if !strings.Contains(value, "://") {
		if strings.HasPrefix(name, "ACE_") && strings.HasSuffix(name, "DATABASE_URL") && !strings.HasPrefix(value, "sqlite:") {
			return isSet // password=… and the like
		}
		return value // what looks like a secret is removed from all files
	}
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			return isSet
		}
		parts = append(parts, u.Scheme+"://"+u.Host+u.EscapedPath())
	}
	return strings.Join(parts, ",")
}
