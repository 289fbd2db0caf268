-- +goose Up
-- A connection that a server joined with belongs to the organization by a row of users: its ID is the organization's, and nobody signs in as it.
ALTER TABLE connections ADD COLUMN server_id TEXT NOT NULL DEFAULT '';       -- the joined server's own ID; empty: connected by a member
ALTER TABLE connections ADD COLUMN tags TEXT NOT NULL DEFAULT '';            -- one a line
ALTER TABLE connections ADD COLUMN cause_code TEXT NOT NULL DEFAULT '';      -- of the status: no_link, link_silent, app_down
ALTER TABLE connections ADD COLUMN link_since BIGINT NOT NULL DEFAULT 0;     -- when its links were opened or lost; 0: there never was one
ALTER TABLE connections ADD COLUMN link_reconnects BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN link_rtt_ms BIGINT NOT NULL DEFAULT 0;    -- of the last ping; 0: none
CREATE UNIQUE INDEX connections_server ON connections (org_id, owner_id, server_id) WHERE server_id <> '';
CREATE INDEX connections_key ON connections (key_id);
CREATE TABLE join_tokens (
    id         TEXT PRIMARY KEY,
    org_id     TEXT NOT NULL REFERENCES organizations (id),
    hash       TEXT NOT NULL UNIQUE, -- of the secret
    name       TEXT NOT NULL,
    uses       BIGINT NOT NULL,      -- how many servers may join
    used       BIGINT NOT NULL,
    tags       TEXT NOT NULL,        -- one a line
    share      BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,        -- an actor
    maker_id   TEXT NOT NULL,        -- ID of the person or the organization's API key; empty: the operator
    maker_key  TEXT NOT NULL,        -- ID of the API key that it was made with; empty: none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,      -- revoked; 0: not
    used_at    BIGINT NOT NULL       -- last
);
CREATE INDEX join_tokens_org ON join_tokens (org_id, id);
CREATE INDEX join_tokens_maker ON join_tokens (maker_id);
CREATE TABLE join_uses (             -- the servers that have used a join token
    token_id  TEXT NOT NULL REFERENCES join_tokens (id) ON DELETE CASCADE,
    server_id TEXT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (token_id, server_id)
);
CREATE TABLE link_keys (             -- public keys that open a connection's links
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    public_key    TEXT NOT NULL,     -- Ed25519, base64url
    created_at    BIGINT NOT NULL,
    used_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,   -- 0: it is the current one
    PRIMARY KEY (connection_id, public_key)
);
CREATE TABLE replicas (              -- processes of this cloud that hold links
    id    TEXT PRIMARY KEY,
    url   TEXT NOT NULL,             -- where the others reach it
    until BIGINT NOT NULL            -- end of its lease
);
CREATE TABLE link_presence (         -- which of them holds how many links
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    replica_id    TEXT NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
    links         BIGINT NOT NULL,
    servers       BIGINT NOT NULL,   -- processes at the other end
    PRIMARY KEY (connection_id, replica_id)
);
CREATE INDEX link_presence_replica ON link_presence (replica_id);
-- +goose Down
DROP TABLE link_presence;
DROP TABLE replicas;
DROP TABLE link_keys;
DROP TABLE join_uses;
DROP TABLE join_tokens;
DROP INDEX connections_key;
DROP INDEX connections_server;
ALTER TABLE connections DROP COLUMN link_rtt_ms;
ALTER TABLE connections DROP COLUMN link_reconnects;
ALTER TABLE connections DROP COLUMN link_since;
ALTER TABLE connections DROP COLUMN cause_code;
ALTER TABLE connections DROP COLUMN tags;
ALTER TABLE connections DROP COLUMN server_id;
