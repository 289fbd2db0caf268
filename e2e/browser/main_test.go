package browser

import (
	"testing"

	"github.com/acebridge/ace/e2e/world"
)

func TestMain(m *testing.M) { world.Main(stopping{m}, world.Command) }
