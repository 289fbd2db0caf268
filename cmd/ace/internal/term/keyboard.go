package term

import (
	"io"
	"os"
	"sync"

	"github.com/muesli/cancelreader"
)

// keyboard is the terminal as a list reads it. Once the list is gone, nothing reads on: bubbletea does not wait for its reader
// to end, and that would swallow the first key of the next question.
type keyboard struct {
	terminal *os.File
	keys     cancelreader.CancelReader
	reading  sync.Mutex
	over     bool
}

func openKeyboard(terminal *os.File) (*keyboard, error) {
	keys, err := cancelreader.NewReader(terminal)
	return &keyboard{terminal: terminal, keys: keys}, err
}

func (k *keyboard) Read(p []byte) (int, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if k.over {
		return 0, io.EOF
	}
	return k.keys.Read(p)
}

// stop ends a pending read and waits until it has ended.
func (k *keyboard) stop() {
	k.keys.Cancel()
	k.reading.Lock()
	defer k.reading.Unlock()
	k.over = true
	_ = k.keys.Close()
}

// Fd, Write and Close make a keyboard a terminal to bubbletea. It then sets the terminal's modes.
func (k *keyboard) Fd() uintptr { return k.terminal.Fd() }

func (k *keyboard) Write(p []byte) (int, error) { return k.terminal.Write(p) }

// Close leaves the terminal open: there is more to ask.
func (k *keyboard) Close() error { return nil }
