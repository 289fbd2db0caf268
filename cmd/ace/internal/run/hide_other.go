//go:build !unix

package run

import (
	"errors"

	"github.com/acebridge/ace/bridge"
)

func hideJoinToken() error { return nil }

func executeAgain([]string, bridge.Secret) error { return errors.ErrUnsupported }

func closeInherited() {}
