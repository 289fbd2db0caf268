package signin_test

import (
	"testing"

	"github.com/acebridge/ace/cloud/internal/storetest"
)

// fixture is the stores over a fresh database.
type fixture struct{ *storetest.Fixture }

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, f *storetest.Fixture) { test(t, &fixture{f}) })
}
