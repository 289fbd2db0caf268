package who

import (
	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Ours reports whether an error is a failure on our side.
//
// A form cannot correct such an error, so the error page shows it.
func Ours(err error) bool { return bridge.AsError(err).Kind == bridge.Internal || sqldb.IsFault(err) }
