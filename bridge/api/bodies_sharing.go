package api

import (
	"encoding/json"

	"github.com/acebridge/ace/bridge"
)

// Ceiling is the most that members get over a shared connection, or one member's limit.
//
// A request gives a preset of the server or scopes. An answer has both if the scopes come from a preset.
type Ceiling struct {
	Preset string   `json:"preset,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
}

// CeilingPatch is a ceiling in a patch: if absent, it stays as it is; null lifts it.
type CeilingPatch struct {
	Given bool
	To    *Ceiling // nil: no ceiling
}

// IsZero omits the ceiling from a patch that does not change it.
func (c CeilingPatch) IsZero() bool { return !c.Given }

// MarshalJSON writes the ceiling, or null.
func (c CeilingPatch) MarshalJSON() ([]byte, error) { return json.Marshal(c.To) }

// UnmarshalJSON reads a ceiling or null.
func (c *CeilingPatch) UnmarshalJSON(raw []byte) error {
	*c = CeilingPatch{Given: true}
	return bridge.DecodeClosed(raw, &c.To)
}

// Sharing says who uses a connection and how much of it (GET /v1/connections/{id}/sharing).
//
// A caller who is not an admin sees only themselves.
type Sharing struct {
	Visibility    string   `json:"visibility"`               // private or organization
	CeilingPreset string   `json:"ceiling_preset,omitempty"` // the preset that the ceiling comes from
	Ceiling       []string `json:"ceiling"`                  // scopes; null: the key's own
	// Presets are the names of the server's presets as last read; empty before that.
	Presets []string `json:"presets,omitempty"`
	// People is how many members can use the connection because it is shared.
	People     int             `json:"people"`
	Members    []SharingMember `json:"members"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// SharingMember is a member, or an API key of the cloud with a limit, and what they may do.
type SharingMember struct {
	UserID string `json:"user_id"` // of a key: its ID
	Email  string `json:"email"`   // of a key: key:<ID>
	Name   string `json:"name,omitempty"`
	Role   string `json:"role,omitempty"` // empty: not a member, or no longer one
	Owner  bool   `json:"owner,omitempty"`
	// Access is full unless there is a limit: limited (to Preset or Ceiling), or none.
	Access  string   `json:"access"`
	Preset  string   `json:"preset,omitempty"`
	Ceiling []string `json:"ceiling"`
	// Allowed is the most that they get, by the connection's ceiling and their limit together; null: all that its key has.
	Allowed []string `json:"allowed"`
}

// MemberLimit limits a member (PUT /v1/connections/{id}/members/{user}).
//
// Access is none, or limited, which takes a preset or scopes.
type MemberLimit struct {
	Access string `json:"access"`
	Ceiling
}
