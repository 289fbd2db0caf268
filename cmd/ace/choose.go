package main

import (
	"strconv"

	"github.com/acebridge/ace/bridge"
)

// choose lets the person at the terminal choose one of a few options by its number, and returns its place.
func (a *app) choose(title string, options []string) (int, error) {
	if !a.interactive() {
		return 0, inputNeeded("%s There is no terminal to choose on", title)
	}
	for i, option := range options {
		a.say("%3d  %s", i+1, printable(option))
	}
	answer, err := a.askLine("%s [1-%d, empty for none] ", title, len(options))
	if err != nil {
		return 0, err
	}
	if answer == "" {
		return 0, bridge.E(bridge.Conflict, "cancelled", "nothing was chosen")
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(options) {
		return 0, usage("%q is not a number from 1 to %d", answer, len(options))
	}
	return n - 1, nil
}
