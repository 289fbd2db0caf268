package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
)

// The scripts run the real main: testscript starts this test binary again under the name ace.
func TestMain(m *testing.M) {
	testscript.Main(stopping{m}, map[string]func(){"ace": main})
}

// stopping ends the PostgreSQL that tests have started; testscript.Main does not return.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	defer sqldbtest.Stop()
	return s.M.Run()
}
