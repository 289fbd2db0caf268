package cmdline

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/catalogue"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// CleanArguments cleans flags and arguments, and refuses unreadable ones. They are often pasted or come from a variable, so
// they are read like all text from outside ([bridge.OutsideText]).
func CleanArguments(cmd *cobra.Command, args []string) error {
	if cmd.Name() == "scan" { // file names are bytes
		return nil
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() != "string" || err != nil {
			return
		}
		text, wrong := bridge.OutsideText(f.Value.String())
		if wrong != nil {
			err = term.Usage("--%s: %w", f.Name, wrong)
			return
		}
		if f.Name == "password" {
			return // white space may be a part of it
		}
		err = f.Value.Set(text)
	})
	for i := range args {
		text, wrong := bridge.OutsideText(args[i])
		if wrong != nil {
			return term.Usage("argument %d: %w", i+1, wrong)
		}
		args[i] = text
	}
	return err
}

// wrongFlag says what is wrong with the flags. It repeats no value, since that may be a secret.
func wrongFlag(cmd *cobra.Command, err error) string {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if group := e.GetSpecifiedShortnames(); group != "" {
			return "unknown flag: -" + group[:1]
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		text := "unknown flag: --" + e.GetSpecifiedName()
		if n := catalogue.Nearest(e.GetSpecifiedName(), names); n != "" {
			text += fmt.Sprintf("; did you mean --%s?", n)
		}
		return text
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return "flag needs an argument: --" + e.GetFlag().Name
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		kinds := map[string]string{"bool": "true or false", "int": "a whole number", "int64": "a whole number", "duration": "a duration such as 90s or 2h"}
		return fmt.Sprintf("--%s: the value is not %s", e.GetFlag().Name, cmp.Or(kinds[e.GetFlag().Value.Type()], "valid"))
	}
	return "the flags cannot be read"
}

// FlagError is the usage error of flags that cannot be parsed.
func FlagError(cmd *cobra.Command, err error) error {
	return term.Usage("%s", wrongFlag(cmd, err)).WithHint("%s --help", cmd.CommandPath())
}
