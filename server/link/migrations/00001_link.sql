-- +goose Up
CREATE TABLE server_identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL -- a random UUID, made once: the server is known by it to a cloud that it joins
);
CREATE TABLE server_links (
    key_id      TEXT PRIMARY KEY,             -- of the connection's API key
    public_key  TEXT NOT NULL DEFAULT '',     -- of a joined link: the value of ACE_CLOUD_PUBLIC_KEY that is pinned
    cloud       TEXT NOT NULL,
    org         TEXT NOT NULL,
    joined      BOOLEAN NOT NULL,
    state       TEXT NOT NULL,                -- new: not known to be registered yet; live; lapsed: never used, kept to join again
    private_key TEXT NOT NULL,                -- Ed25519, sealed
    next_key    TEXT NOT NULL DEFAULT '',     -- its successor, sealed, while one replaces the other
    created_at  BIGINT NOT NULL,
    rotated_at  BIGINT NOT NULL
);
-- +goose Down
DROP TABLE server_links;
DROP TABLE server_identity;
