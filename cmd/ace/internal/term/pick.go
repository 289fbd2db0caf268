package term

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"

	"github.com/acebridge/ace/bridge"
)

// ErrInterrupted means Ctrl-C was read as a key, not as a signal.
var ErrInterrupted = fmt.Errorf("interrupted: %w", context.Canceled)

// ErrNothingChosen means a list was left with Esc or an empty answer.
var ErrNothingChosen = bridge.E(bridge.Conflict, bridge.CodeCancelled, "nothing was chosen")

// Pick lets the person choose an option, and returns its index. They use the arrow keys and / to filter. On a terminal without
// a cursor to move (TERM=dumb, which also suits a screen reader) they type a number.
func (t *Terminal) Pick(title string, options []string) (int, error) {
	if !t.Interactive() {
		return 0, InputNeeded("%s There is no terminal to choose", title)
	}
	clean := make([]string, len(options))
	for i, o := range options {
		clean[i] = bridge.Printable(o)
	}
	width, height, err := term.GetSize(int(t.Err.Fd()))
	if err != nil || !t.Screen() || width < 20 || height < 6 {
		return t.pickNumber(title, clean)
	}
	return t.pickHere(title, clean, height)
}

// pickNumber offers a numbered list, which works on every terminal.
func (t *Terminal) pickNumber(title string, options []string) (int, error) {
	for i, o := range options {
		t.Say("%3d  %s", i+1, o)
	}
	for {
		answer, err := t.AskLine("%s [1-%d, empty for none] ", title, len(options))
		switch n, notNumber := strconv.Atoi(answer); {
		case err != nil:
			return 0, err
		case answer == "":
			return 0, ErrNothingChosen
		case notNumber == nil && n >= 1 && n <= len(options):
			return n - 1, nil
		}
		t.Say("%q is not a number from 1 to %d", bridge.Printable(answer), len(options))
	}
}

// pickTheme uses the terminal's own foreground, readable on any background.
func pickTheme(isDark bool) *huh.Styles {
	t := huh.ThemeBase(isDark)
	cyan := lipgloss.Color("6")
	t.Focused.Title = t.Focused.Title.Bold(true)
	t.Focused.SelectSelector = t.Focused.SelectSelector.Foreground(cyan)
	t.Focused.SelectedOption = t.Focused.SelectedOption.Foreground(cyan)
	return t
}

// pickHere shows a list below what was printed, and erases it afterwards.
func (t *Terminal) pickHere(title string, options []string, height int) (int, error) {
	const around = 4 // the title, an empty line, the help, and the line of the cursor
	chosen, left := 0, false
	list := make([]huh.Option[int], len(options))
	for i, o := range options {
		list[i] = huh.NewOption(o, i)
	}
	field := huh.NewSelect[int]().Title(title).Options(list...).Value(&chosen)
	if len(options)+1 > height-around {
		field.Height(height - around)
	}
	keys, err := openKeyboard(t.In)
	if err != nil {
		return 0, err
	}
	defer keys.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-t.Interrupted:
			cancel()
		case <-ctx.Done():
		}
	}()
	program := []tea.ProgramOption{tea.WithInput(keys), tea.WithOutput(t.Err), tea.WithoutSignalHandler(),
		tea.WithFilter(func(_ tea.Model, msg tea.Msg) tea.Msg {
			if k, ok := msg.(tea.KeyPressMsg); ok && k.String() == "esc" && !field.GetFiltering() {
				left = true
				return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl} // how huh is ended
			}
			return msg
		})}
	if !t.colours() {
		program = append(program, tea.WithColorProfile(colorprofile.ASCII))
	}
	bindings := huh.NewDefaultKeyMap()
	bindings.Select.Submit.SetHelp("enter", "choose • esc back")
	err = huh.NewForm(huh.NewGroup(field)).WithKeyMap(bindings).WithTheme(huh.ThemeFunc(pickTheme)).WithProgramOptions(program...).RunWithContext(ctx)
	switch {
	case left:
		return 0, ErrNothingChosen
	case errors.Is(err, huh.ErrUserAborted), ctx.Err() != nil:
		return 0, ErrInterrupted
	}
	return chosen, err
}
