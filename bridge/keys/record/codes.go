package record

import "github.com/acebridge/ace/bridge"

// StateUnknown is the state of a parent that does not exist.
const StateUnknown = "unknown"

// StateCode returns the code that refuses a key in a state other than active.
func StateCode(state string) bridge.Code { return stateCodes[state].key }

// ParentCode returns the code that refuses a key whose parent is in a state other than active.
func ParentCode(state string) bridge.Code { return stateCodes[state].parent }

var stateCodes = map[string]struct{ key, parent bridge.Code }{
	StatusUnconfirmed: {bridge.CodeKeyUnconfirmed, bridge.CodeParentUnconfirmed},
	StatusDisabled:    {bridge.CodeKeyDisabled, bridge.CodeParentDisabled},
	StatusExpired:     {bridge.CodeKeyExpired, bridge.CodeParentExpired},
	StatusUsedUp:      {bridge.CodeKeyUsedUp, bridge.CodeParentUsedUp},
	StatusRevoked:     {bridge.CodeKeyRevoked, bridge.CodeParentRevoked},
	StatusLapsed:      {bridge.CodeKeyLapsed, bridge.CodeParentLapsed},
	StateUnknown:      {bridge.CodeKeyUnknown, bridge.CodeParentUnknown},
}
