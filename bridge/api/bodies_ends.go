package api

import (
	"github.com/acebridge/ace/bridge"
)

// The kinds of things that can end.
const (
	EndsConnection          = "connection"
	EndsConnectionKey       = "connection_key"
	EndsAPIKey              = "api_key" // of a person or an organization
	EndsPersonalAccessToken = "personal_access_token"
	EndsSession             = "session"
	EndsApproval            = "approval" // of a login that no program has redeemed yet
	EndsInvitation          = "invitation"
	EndsJoinToken           = "join_token"
	EndsAccessToken         = "access_token" // all that one person or key holds for one connection
)

// What happens to something that a change affects.
const (
	FateEnds    = "ends"
	FateLimited = "limited" // it continues with fewer rights
	FateLeft    = "left"    // it stays, but only admins can disconnect it
)

// How much is known about the personal keys on a server.
const (
	ServerAsked       = "known"       // it answered: items and total are from its list
	ServerUnreachable = "unreachable" // it did not answer; it will decide once it is told
	ServerUndecided   = "unknown"     // it was not asked, or does not say
)

// MaxEnds bounds the items listed in one answer.
const MaxEnds = 200

// Ends says what a change would end; asking changes nothing (GET …/ends).
type Ends struct {
	Total   int            `json:"total"`             // everything that ends, listed or not
	Counts  map[string]int `json:"counts"`            // Total by kind
	Items   []Ending       `json:"items"`             // at most [MaxEnds]
	Servers []ServerEnds   `json:"servers,omitempty"` // where personal keys end or are limited
}

// Ending is one thing that ends.
type Ending struct {
	Kind       string `json:"kind"`
	Fate       string `json:"fate"`
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Owner      string `json:"owner,omitempty"`
	Parent     string `json:"parent,omitempty"`     // of a key: ID of the key it was created with
	Lineage    string `json:"lineage,omitempty"`    // of a key
	Connection string `json:"connection,omitempty"` // of an access token: the connection's ID
}

// ServerEnds says what happens to personal keys on a connection's server, as far as the server says.
type ServerEnds struct {
	Connection string           `json:"connection"` // ID
	Name       string           `json:"name"`
	ServerURL  bridge.ServerURL `json:"server_url"`
	Status     string           `json:"status"`          // known, unreachable or unknown
	Cause      string           `json:"cause,omitempty"` // why it is not known
	All        bool             `json:"all,omitempty"`   // every personal key created over the connection ends
	Subjects   []SubjectEnds    `json:"subjects"`        // who may have created keys there
	Total      int              `json:"total"`           // keys that end or are limited, if known
	More       bool             `json:"more,omitempty"`  // there are more than the server was asked to list
	Items      []Ending         `json:"items"`
}

// SubjectEnds says what happens to the personal keys of one person or one API key of the cloud.
type SubjectEnds struct {
	Subject string   `json:"subject"`
	Fate    string   `json:"fate"`           // ends or limited
	Scopes  []string `json:"scopes"`         // the most that is left
	Role    string   `json:"role,omitempty"` // the most that is left is this role's ceiling
}

// Add counts things that end, and lists them while there is room.
func (e *Ends) Add(items ...Ending) {
	if e.Counts == nil {
		e.Counts, e.Items = map[string]int{}, []Ending{}
	}
	for _, item := range items {
		e.Total++
		e.Counts[item.Kind]++
		if len(e.Items) < MaxEnds {
			e.Items = append(e.Items, item)
		}
	}
}

// Fate returns what happens to a subject's keys; ok is false if nothing does.
func (s ServerEnds) Fate(subject string) (fate string, ok bool) {
	if s.All {
		return FateEnds, true
	}
	for _, of := range s.Subjects {
		if of.Subject == subject {
			return of.Fate, true
		}
	}
	return "", false
}

// EndingOf converts a key into an [Ending].
func EndingOf(k APIKey) Ending {
	out := Ending{Kind: EndsAPIKey, Fate: FateEnds, ID: k.KeyID, Name: k.Name, Owner: k.Owner, Parent: k.Parent, Lineage: k.Lineage}
	switch k.Kind {
	case string(bridge.KindSK):
		out.Kind = EndsConnectionKey
	case string(bridge.KindPAT):
		out.Kind = EndsPersonalAccessToken
	}
	if k.Subject != "" {
		out.Owner = k.Subject
	}
	return out
}
