package schema_test

import (
	"testing"

	"github.com/acebridge/ace/bridge/sqldb/sqldbtest"
	"github.com/acebridge/ace/cloud/schema"
)

func TestMain(m *testing.M) { sqldbtest.Main(m, schema.Migrate) }
