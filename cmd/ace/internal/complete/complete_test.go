package complete

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/acebridge/ace/cmd/ace/internal/profile"
	"github.com/acebridge/ace/cmd/ace/internal/term"
)

// However long the words take to look up, a key press waits a second at most.
func TestCompletionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan []string)
		defer close(late)
		deaf := func(context.Context, *Completer, *cobra.Command) ([]string, error) { return <-late, nil }
		cmd := &cobra.Command{}
		cmd.SetContext(t.Context())
		start := time.Now()
		words, _ := (&Completer{Term: new(term.Terminal), Profiles: new(profile.Profiles)}).words(deaf)(cmd, nil, "")
		if took := time.Since(start); took != patience || len(words) > 0 {
			t.Errorf("it took %s and found %v", took, words)
		}
	})
}

// Names come from other people: one that would be taken for a flag, or that does something to the terminal, is not offered.
func TestCompletionIsClean(t *testing.T) {
	got := fitting([]string{"--all\tx", "-rf", "a\x1b[31m", "a\nb", "", "able\twith\x07 a bell", "ace", "base"}, "a")
	if want := []string{"able\twith� a bell", "ace"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
