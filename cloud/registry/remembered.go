package registry

import (
	"context"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acebridge/ace/bridge"
	"github.com/acebridge/ace/bridge/api"
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
func rememberedKey(p Principal, c connection, b bounds) string {
	apiKey := ""
	if p.Kind != "" {
		apiKey = p.key.KeyID.String()
	}
	return strings.Join([]string{c.id, p.UserID, p.Email, apiKey, c.keyID, string(c.server), hashed(bridge.NewSecret(c.secret)), terms(p, b)}, "\x00")
}

func (m remembered) put(key string, c api.Credential) {
	if c.ExpiresAt != nil {
		m.of.Add(key, c)
	}
}

// handedBefore is the token that a member was handed before, where the member may use the connection as then.
func (r *Registry) handedBefore(ctx context.Context, p Principal, id string) (api.Credential, bool) {
	c, err := r.find(ctx, r.db, p, id)
	if err != nil {
		return api.Credential{}, false
	}
	key := rememberedKey(p, c, c.bounds(p))
	if _, err := c.use(p); err != nil {
		return api.Credential{}, false
	}
	return r.remembered.get(key, r.cfg.Now())
}

// leastRemembered is the life that a token handed out again must have left.
const leastRemembered = 10 * time.Second

func (m remembered) get(key string, now time.Time) (api.Credential, bool) {
	c, ok := m.of.Get(key)
	return c, ok && now.Add(leastRemembered).Before(*c.ExpiresAt)
}
