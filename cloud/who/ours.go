package who

import (
	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/sqldb"
)

// Ours reports whether an error is a failure on our side, which a form cannot put right: the error page says it.
func Ours(err error) bool { return bridge.AsError(err).Kind == bridge.Internal || sqldb.IsFault(err) }
