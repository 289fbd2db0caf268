-- +goose Up
CREATE TABLE handed_tokens (         -- access tokens that members hold, so that they can be withdrawn before they expire
    connection_id TEXT NOT NULL,
    user_id       TEXT NOT NULL,     -- or the ID of an organization's API key
    api_key_id    TEXT NOT NULL,     -- of this cloud's API key that asked; empty: a session
    terms         TEXT NOT NULL,     -- role and bounds that they were issued with
    org_id        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    role          TEXT NOT NULL,     -- that the person must still have; empty: an organization's API key
    manage        TEXT NOT NULL,     -- 'manage' or empty, as environment and maker_id a parameter of who sees what
    environment   TEXT NOT NULL,
    maker_id      TEXT NOT NULL,
    server_key_id TEXT NOT NULL,     -- the connection's key that signed them
    issued_at     BIGINT NOT NULL,   -- the last of them
    expires_at    BIGINT NOT NULL,
    withdrawn_at  BIGINT NOT NULL,   -- of those issued until then, the server knows
    next_at       BIGINT NOT NULL,   -- when it is told again
    PRIMARY KEY (connection_id, user_id, api_key_id, terms)
);
CREATE INDEX handed_tokens_expiry ON handed_tokens (expires_at);
-- +goose Down
DROP TABLE handed_tokens;
