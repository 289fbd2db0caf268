//go:build !unix

package files

import (
	"errors"

	"github.com/acebridge/ace/bridge"
)

// HideJoinToken does nothing: other processes do not see this one's environment.
func HideJoinToken() error { return nil }

// ExecuteAgain is not possible here.
func ExecuteAgain([]string, bridge.Secret) error { return errors.ErrUnsupported }

// CloseInherited does nothing.
func CloseInherited() {}
