package connections

import (
	"context"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
	"github.com/acebridge/ace/cloud/accounts"
	"github.com/acebridge/ace/cloud/schema"
)

// maxRemembered bounds the credentials in memory.
const maxRemembered = 10_000

// remembered are the access tokens that were handed out last. While nothing can be stored a new one is not handed out, since
// nobody could withdraw it; the caller of one that lives on may have that again.
type remembered struct {
	of *lru.Cache[string, api.Credential]
}

func newRemembered() (remembered, error) {
	cache, err := lru.New[string, api.Credential](maxRemembered)
	return remembered{cache}, err
}

// rememberedKey tells apart all that an access token's rights follow from.
func rememberedKey(p accounts.Principal, c Connection, b bounds) string {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.Key.KeyID.String()
	}
	return strings.Join([]string{c.ID, p.UserID, p.Email, apiKey, c.KeyID, string(c.server), schema.Hash(bridge.NewSecret(c.secret)), terms(p, b)}, "\x00")
}

func (m remembered) put(key string, c api.Credential) {
	if c.ExpiresAt != nil {
		m.of.Add(key, c)
	}
}

// handedBefore is the token that a member was handed before, where the member may use the connection as then.
func (st *Tokens) handedBefore(ctx context.Context, p accounts.Principal, id string) (api.Credential, bool) {
	c, err := st.store.Find(ctx, st.db, p, id)
	if err != nil {
		return api.Credential{}, false
	}
	key := rememberedKey(p, c, c.bounds(p))
	if _, err := c.use(p); err != nil {
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
