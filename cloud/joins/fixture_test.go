package joins_test

import (
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/internal/storetest"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }

// fixture is the stores over a fresh database.
type fixture struct{ *storetest.Fixture }

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, f *storetest.Fixture) { test(t, &fixture{f}) })
}
