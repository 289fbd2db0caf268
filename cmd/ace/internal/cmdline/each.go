package cmdline

import (
	"strings"

	"github.com/spf13/cobra"
)

// Each visits a tree of commands from the top. The path leaves out the root's name.
func Each(root *cobra.Command, visit func(path string, cmd *cobra.Command)) {
	visit(strings.TrimPrefix(strings.TrimPrefix(root.CommandPath(), root.Root().Name()), " "), root)
	for _, cmd := range root.Commands() {
		Each(cmd, visit)
	}
}
