-- +goose Up
CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    prefix      TEXT NOT NULL,
    hash        TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    org         TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    owner       TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL, -- 0: never
    confirm_by  BIGINT NOT NULL, -- 0: confirmed by a first use, or never in need of one
    ended_at    BIGINT NOT NULL, -- 0: not ended by anybody
    ended_by    TEXT NOT NULL,
    end_reason  TEXT NOT NULL,
    used_at     BIGINT NOT NULL, -- 0: never
    used_from   TEXT NOT NULL,
    used_agent  TEXT NOT NULL
);
CREATE INDEX api_keys_org ON api_keys (org, id);
CREATE TABLE used_tokens (
    issuer     TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX used_tokens_expiry ON used_tokens (expires_at);
-- +goose Down
DROP TABLE used_tokens;
DROP TABLE api_keys;
