package api

import (
	"encoding/json"

	"github.com/acebridge/ace/bridge"
)

// Ceiling is the most that members get over a shared connection, or a limit for one of them: a preset of the server's, or
// scopes. In an answer it is both, where the scopes come from a preset.
type Ceiling struct {
	Preset string   `json:"preset,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
}

// CeilingPatch is a ceiling in a patch: absent, it is left as it is; null lifts it.
type CeilingPatch struct {
	Given bool
	To    *Ceiling // nil: none
}

// IsZero leaves the ceiling out of a patch.
func (c CeilingPatch) IsZero() bool { return !c.Given }

// MarshalJSON writes the ceiling, or null.
func (c CeilingPatch) MarshalJSON() ([]byte, error) { return json.Marshal(c.To) }

// UnmarshalJSON reads a ceiling or null.
func (c *CeilingPatch) UnmarshalJSON(raw []byte) error {
	*c = CeilingPatch{Given: true}
	return bridge.DecodeClosed(raw, &c.To)
}

// Sharing is who uses a connection and how much of it (GET /v1/connections/{id}/sharing). Whoever is no admin is shown
// themselves alone.
type Sharing struct {
	Visibility    string   `json:"visibility"`               // private or organization
	CeilingPreset string   `json:"ceiling_preset,omitempty"` // that the ceiling comes from
	Ceiling       []string `json:"ceiling"`                  // scopes; null: the key's own
	// Presets are the names of the server's presets, as they were read last; none before that.
	Presets []string `json:"presets,omitempty"`
	// People is how many members can use the connection because it is shared.
	People     int             `json:"people"`
	Members    []SharingMember `json:"members"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// SharingMember is a member, or an API key of the cloud for which there is an exception, and what they may do.
type SharingMember struct {
	UserID string `json:"user_id"` // of a key: its ID
	Email  string `json:"email"`   // of a key: key:<ID>
	Name   string `json:"name,omitempty"`
	Role   string `json:"role,omitempty"` // empty: no member, or no more
	Owner  bool   `json:"owner,omitempty"`
	// Access is full unless there is an exception: limited, or none. Preset and Ceiling are what it limits to.
	Access  string   `json:"access"`
	Preset  string   `json:"preset,omitempty"`
	Ceiling []string `json:"ceiling"`
	// Allowed is what they get at most, the connection's ceiling and the exception taken together; null: all that its key has.
	Allowed []string `json:"allowed"`
}

// MemberLimit makes an exception for a member (PUT /v1/connections/{id}/members/{user}): none, or limited, which takes a
// preset or scopes.
type MemberLimit struct {
	Access string `json:"access"`
	Ceiling
}
