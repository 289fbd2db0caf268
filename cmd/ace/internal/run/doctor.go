package run

import (
	"os"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/report"
	"github.com/acebridge/ace/cmd/ace/internal/selfcheck"
)

// doctorCommand is `ace server doctor`.
func (runner linking) doctorCommand() *cobra.Command {
	return (&selfcheck.Group{Term: runner.Term, Settings: runner.machine,
		Reporter: &report.Reporter{Term: runner.Term, Version: runner.Version, Variables: append(Variables(), profile.Variables...)}}).Command()
}

// machine reads the settings for the doctor. Secrets are set even where the settings are wrong.
func (runner linking) machine() (m selfcheck.Machine, err error) {
	var e serverEnv
	err = readEnv(&e)
	m.Secrets = secretValues(&e)
	if err != nil {
		return m, err
	}
	cfg, s, err := e.config()
	if err != nil {
		return m, err
	}
	m.DataDir, m.Database, m.Trust, m.Upstream, m.Health, m.Unknown = s.stateDir, s.database, cfg.Trust, cfg.Upstream, cfg.UpstreamHealth, unknownVariables(os.Environ())
	if s.stateDir != "" {
		m.Operator, err = runner.operator(&e)
	}
	return m, err
}

// secretValues are the secrets in the settings.
func secretValues(spec any) []string {
	var values []string
	eachVariable(reflect.ValueOf(spec).Elem(), func(_ string, field reflect.Value) {
		if secret, ok := field.Interface().(bridge.Secret); ok && !secret.IsZero() {
			values = append(values, secret.Reveal())
		}
	})
	return values
}
