package term

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/acebridge/ace/bridge"
)

// Ctrl-C at a question ends the command at once, although the read goes on waiting for a line.
func TestInterruptEndsAQuestion(t *testing.T) {
	in, never, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = never.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	a := New(in, os.Stdout, os.Stderr)
	a.Interrupted = ctx.Done()
	cancel()
	if _, err := a.Confirm("Sure?"); !errors.Is(err, context.Canceled) {
		t.Errorf("a question answered %v", err)
	}
	if _, err := a.SecretFlag("--token", "-"); !errors.Is(err, context.Canceled) {
		t.Errorf("a secret from stdin answered %v", err)
	}
}

func TestSecretFlag(t *testing.T) {
	a := New(os.Stdin, os.Stdout, os.Stderr)
	file := t.TempDir() + "/secret"
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{"literal": "literal", "file:" + file: "from a file"} {
		if got, err := a.SecretFlag("--x", value); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q %v", value, got.Reveal(), err)
		}
	}
	for _, value := range []string{"", "file:" + file + ".missing"} {
		if _, err := a.SecretFlag("--x", value); bridge.CodeOf(err) != bridge.CodeUsage {
			t.Errorf("%q: %v", value, err)
		}
	}
}
