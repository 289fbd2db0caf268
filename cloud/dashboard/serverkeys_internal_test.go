package dashboard

import (
	"os/exec"
	"testing"
)

// A shell reads a quoted text as it was.
func TestShellWord(t *testing.T) {
	for _, text := range []string{"", "plain", "it's", "$(id) `id` $HOME", `"a" \ b`, "'; id; '", "* ~ #x !y\nz"} {
		read, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(text)).Output() //nolint:gosec // that is what is tested
		if err != nil || string(read) != text {
			t.Errorf("%q is read as %q (%v)", text, read, err)
		}
	}
}
