package unit

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/acebridge/ace/bridge"
)

// Name is the name of the unit.
const Name = "ace-server.service"

// Marker is the first line of a unit that this package wrote.
const Marker = "# Written by ace server install. To change a line: systemctl edit ace-server; to remove it: ace server uninstall"

// SystemDataDir is the data directory of a system unit unless another one is named. systemd makes it (StateDirectory=).
const SystemDataDir = "/var/lib/ace-server"

const (
	dataLine      = "# Data: "
	variablesLine = "# Variables: "
)

// Kind says how a variable's value reaches the server.
type Kind int

// The kinds of variables.
const (
	Setting Kind = iota // in the environment file
	Secret              // in a file of its own
	File                // is the path of a file that the server reads
)

// Variable is a variable of the server.
type Variable struct {
	Name  string
	Kind  Kind
	Value bridge.Secret
}

// Unit is a server's unit.
type Unit struct {
	System    bool
	Path      string // of the unit file
	Binary    string // absolute path of ace
	DataDir   string
	RunAs     string // user of a system unit; empty: one that systemd makes up
	LowPort   bool   // the server listens on a port below 1024
	Variables []Variable
	Drain     time.Duration // ACE_DRAIN
}

// stopMargin is what stopping takes beyond the drain, which is at most eleven seconds, and some more.
const stopMargin = 20 * time.Second

func (u *Unit) settingsFile() string   { return u.DataDir + ".env" }
func (u *Unit) credentialsDir() string { return u.DataDir + ".credentials" }
func (u *Unit) credential(v Variable) string {
	if v.Kind == Secret {
		return filepath.Join(u.credentialsDir(), v.Name)
	}
	return v.Value.Reveal()
}

// fileVariable is the variable that names the file of a secret or of a File.
func (v Variable) fileVariable() string {
	if v.Kind == Secret {
		return v.Name + "_FILE"
	}
	return v.Name
}

// Written is one file of an installation.
type Written struct {
	Path      string   `json:"path"`
	Mode      string   `json:"mode"`
	Variables []string `json:"variables,omitempty"` // whose values it has
	mode      fs.FileMode
	data      []byte
}

func file(path string, mode fs.FileMode, data string, variables ...string) Written {
	return Written{Path: path, Mode: fmt.Sprintf("%04o", mode), Variables: variables, mode: mode, data: []byte(data)}
}

// Files lists the files to write, in that order.
func (u *Unit) Files() []Written {
	var out []Written
	var names []string
	var settings strings.Builder
	for _, v := range u.sorted() {
		switch {
		case v.Kind == Secret:
			out = append(out, file(u.credential(v), 0o600, v.Value.Reveal()+"\n", v.Name))
		case v.Kind == File && u.System:
			continue // the unit hands it over
		}
		name, value := v.Name, v.Value.Reveal()
		if v.Kind == Secret {
			if u.System {
				continue
			}
			name, value = v.fileVariable(), u.credential(v)
		}
		names = append(names, name)
		_, _ = fmt.Fprintf(&settings, "%s=%s\n", name, quoted(value))
	}
	return append(out, file(u.settingsFile(), 0o600, settings.String(), names...), file(u.Path, 0o644, u.Text()))
}

func (u *Unit) sorted() []Variable {
	return slices.SortedFunc(slices.Values(u.Variables), func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
}

// quoted writes a value for an environment file of systemd.
func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(value) + `"`
}

// Text is the unit file. It has no value of any variable.
func (u *Unit) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	var names []string
	for _, v := range u.sorted() {
		names = append(names, v.Name)
	}
	line("%s", Marker)
	line("%s%s", dataLine, u.DataDir)
	line("%s%s", variablesLine, strings.Join(names, " "))
	line("[Unit]")
	line("Description=ace server")
	if u.System {
		line("After=network-online.target")
		line("Wants=network-online.target")
	}
	line("# A server never gives up: its network may be away for hours.")
	line("StartLimitIntervalSec=0")
	line("")
	line("[Service]")
	line("Type=exec")
	line("ExecStart=%s server", u.Binary)
	line("EnvironmentFile=%s", u.settingsFile())
	line("UMask=0077")
	line("Restart=on-failure")
	line("RestartSec=5")
	line("# Time for calls to finish before the process stops; see ACE_DRAIN.")
	line("TimeoutStopSec=%d", int((u.Drain + stopMargin).Round(time.Second).Seconds()))
	line("")
	for _, text := range hardening {
		line("%s", text)
	}
	if u.System {
		u.systemLines(line)
	} else {
		line("# ProtectSystem, PrivateTmp and the like need user namespaces in the unit of a user, which many systems forbid.")
	}
	line("")
	line("[Install]")
	if u.System {
		line("WantedBy=multi-user.target")
	} else {
		line("WantedBy=default.target")
	}
	return b.String()
}

// hardening works in every unit: it needs no namespace.
var hardening = []string{
	"NoNewPrivileges=yes",
	"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
	"RestrictNamespaces=yes",
	"RestrictRealtime=yes",
	"RestrictSUIDSGID=yes",
	"LockPersonality=yes",
	"MemoryDenyWriteExecute=yes",
	"SystemCallArchitectures=native",
	"SystemCallFilter=@system-service",
	"SystemCallErrorNumber=EPERM",
}

// systemLines are for a system unit only: who it runs as, its files, and what it cannot see.
func (u *Unit) systemLines(line func(string, ...any)) {
	if u.LowPort {
		line("AmbientCapabilities=CAP_NET_BIND_SERVICE")
		line("CapabilityBoundingSet=CAP_NET_BIND_SERVICE")
	} else {
		line("CapabilityBoundingSet=")
	}
	line("ProtectSystem=strict")
	if slices.ContainsFunc(homes, func(dir string) bool { return strings.HasPrefix(u.DataDir, dir) }) {
		line("ProtectHome=read-only")
	} else {
		line("ProtectHome=yes")
	}
	for _, text := range []string{"PrivateTmp=yes", "PrivateDevices=yes", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
		"ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "ProtectProc=invisible"} {
		line("%s", text)
	}
	line("")
	if u.RunAs == "" {
		line("DynamicUser=yes")
		line("StateDirectory=%s", strings.TrimPrefix(u.DataDir, "/var/lib/"))
		line("StateDirectoryMode=0700")
	} else {
		line("User=%s", u.RunAs)
		line("ReadWritePaths=%s", u.DataDir)
	}
	for _, v := range u.sorted() {
		if v.Kind != Setting {
			line("LoadCredential=%s:%s", v.Name, u.credential(v))
			line("Environment=%s=%%d/%s", v.fileVariable(), v.Name)
		}
	}
}

// homes are the directories that ProtectHome=yes hides.
var homes = []string{"/home/", "/root/", "/run/user/"}

// Hidden reports whether a system unit cannot see a path.
func Hidden(path string) bool {
	return slices.ContainsFunc(append([]string{"/tmp/", "/var/tmp/"}, homes...), func(dir string) bool { return strings.HasPrefix(path, dir) })
}
