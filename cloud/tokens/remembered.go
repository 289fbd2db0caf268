package tokens

import (
	"context"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/connections"
	"github.com/acebridge/ace/cloud/schema"
)

// maxRemembered bounds the credentials in memory.
const maxRemembered = 10_000

// remembered are the access tokens handed out last. While the database fails no new one is handed out, since it could not be
// withdrawn; the holder of one that still lives may have it again.
type remembered struct {
	of *lru.Cache[string, api.Credential]
}

func newRemembered() (remembered, error) {
	cache, err := lru.New[string, api.Credential](maxRemembered)
	return remembered{cache}, err
}

// rememberedKey joins everything that an access token's rights follow from.
func rememberedKey(p accounts.Principal, c connections.Connection, terms string) string {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	return strings.Join([]string{c.ID, p.UserID, p.Email, apiKey, c.KeyID, string(c.Server), schema.Hash(bridge.NewSecret(c.Secret)), terms}, "\x00")
}

func (m remembered) put(key string, c api.Credential) {
	if c.ExpiresAt != nil {
		m.of.Add(key, c)
	}
}

// handedBefore returns the member's last token, if the terms are the same as then.
func (st *Tokens) handedBefore(ctx context.Context, p accounts.Principal, id string) (api.Credential, bool) {
	c, err := st.store.Find(ctx, st.db, p, id)
	if err != nil {
		return api.Credential{}, false
	}
	key := rememberedKey(p, c, connections.Terms(p, c.Bounds(p)))
	if _, err := c.Use(p); err != nil {
		return api.Credential{}, false
	}
	return st.remembered.get(key, st.db.Now())
}

// leastRemembered is the life that a token handed out again must have left.
const leastRemembered = 10 * time.Second

func (m remembered) get(key string, now time.Time) (api.Credential, bool) {
	c, ok := m.of.Get(key)
	return c, ok && now.Add(leastRemembered).Before(*c.ExpiresAt)
}
