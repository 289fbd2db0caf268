package main

import (
	"os"
	"testing"

	"github.com/acebridge/ace/e2e/world"
)

// newTestApp is an app on the streams of the tests.
func newTestApp() *app { return newApp(os.Stdin, os.Stdout, os.Stderr) }

func TestMain(m *testing.M) { world.Main(m, world.Command) }
