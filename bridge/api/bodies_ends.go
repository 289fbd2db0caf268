package api

import (
	"github.com/acebridge/ace/bridge"
)

// The kinds of things that can end.
const (
	EndsConnection          = "connection"
	EndsConnectionKey       = "connection_key"
	EndsAPIKey              = "api_key" // of people and organizations
	EndsPersonalAccessToken = "personal_access_token"
	EndsSession             = "session"
	EndsApproval            = "approval" // of a login that no program has redeemed yet
	EndsInvitation          = "invitation"
	EndsAccessToken         = "access_token" // those that one person or key holds over one connection
)

// The fates of the things that a change affects.
const (
	FateEnds    = "ends"
	FateLimited = "limited" // goes on with less
	FateLeft    = "left"    // stays, and only admins can disconnect it
)

// How much is known about a server's personal keys.
const (
	ServerAsked       = "known"       // it has answered: items and total are of its list
	ServerUnreachable = "unreachable" // it does not answer now; it decides when it is told
	ServerUndecided   = "unknown"     // it was not asked, or does not say
)

// MaxEnds is the maximum number of items in one answer.
const MaxEnds = 200

// Ends says what a change would end, without changing anything (GET …/ends).
type Ends struct {
	Total   int            `json:"total"`             // of all that ends here, listed or not
	Counts  map[string]int `json:"counts"`            // the same by kind
	Items   []Ending       `json:"items"`             // at most [MaxEnds]
	Servers []ServerEnds   `json:"servers,omitempty"` // where personal keys end or are limited
}

// Ending is one thing that ends.
type Ending struct {
	Kind       string `json:"kind"`
	Fate       string `json:"fate"`
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Owner      string `json:"owner,omitempty"`      // whose it is
	Parent     string `json:"parent,omitempty"`     // ID of the key that a key was made with
	Lineage    string `json:"lineage,omitempty"`    // of a key
	Connection string `json:"connection,omitempty"` // ID; of an access token
}

// ServerEnds says what happens to personal keys on a connection's server; the server decides.
type ServerEnds struct {
	Connection string           `json:"connection"` // ID
	Name       string           `json:"name"`
	ServerURL  bridge.ServerURL `json:"server_url"`
	Status     string           `json:"status"`          // known, unreachable or unknown
	Cause      string           `json:"cause,omitempty"` // why it is not known
	All        bool             `json:"all,omitempty"`   // every personal key made through the connection ends, whoever's it is
	Subjects   []SubjectEnds    `json:"subjects"`        // who may have made keys there
	Total      int              `json:"total"`           // keys that end or are limited, where that is known
	More       bool             `json:"more,omitempty"`  // there are more than the server was asked for
	Items      []Ending         `json:"items"`
}

// SubjectEnds says what happens to the personal keys of one person, or of one of the cloud's API keys.
type SubjectEnds struct {
	Subject string   `json:"subject"`
	Fate    string   `json:"fate"`           // ends or limited
	Scopes  []string `json:"scopes"`         // that are left at most
	Role    string   `json:"role,omitempty"` // whose ceiling is left at most
}

// Add counts something that ends, and lists it while there is room.
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

// Fate is what happens to a subject's keys; ok is false if nothing does.
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

// EndingOf turns a key into an [Ending].
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
