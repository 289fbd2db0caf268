-- +goose Up
CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE, -- lower case
    name       TEXT NOT NULL,
    password   TEXT NOT NULL,        -- argon2id, PHC string
    created_at BIGINT NOT NULL
);
CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    slug       TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE members (
    org_id    TEXT NOT NULL REFERENCES organizations (id),
    user_id   TEXT NOT NULL REFERENCES users (id),
    role      TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX members_user ON members (user_id);
CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    org_id     TEXT NOT NULL REFERENCES organizations (id),
    method     TEXT NOT NULL,
    cookie     TEXT NOT NULL UNIQUE, -- SHA-256 of the cookie's value, or the session's ID where there is no cookie
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    address    TEXT NOT NULL
);
CREATE TABLE refresh_tokens (
    hash       TEXT PRIMARY KEY, -- SHA-256
    session_id TEXT NOT NULL REFERENCES sessions (id),
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE TABLE devices (
    code       TEXT PRIMARY KEY, -- SHA-256 of the device code
    user_code  TEXT NOT NULL UNIQUE,
    client_id  TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    polled_at  BIGINT NOT NULL, -- milliseconds
    interval_s BIGINT NOT NULL,
    state      TEXT NOT NULL,   -- pending, approved, denied, redeemed
    user_id    TEXT NOT NULL,
    org_id     TEXT NOT NULL
);
CREATE TABLE connections (
    id           TEXT PRIMARY KEY,
    org_id       TEXT NOT NULL REFERENCES organizations (id),
    owner_id     TEXT NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    server_url   TEXT NOT NULL,
    method       TEXT NOT NULL,  -- exchange, manual
    visibility   TEXT NOT NULL,  -- private, organization
    ceiling      TEXT NOT NULL,
    ace          BOOLEAN NOT NULL, -- the key is one of an ace server
    key_id       TEXT NOT NULL,
    secret       TEXT NOT NULL,  -- Fernet, empty when erased
    status       TEXT NOT NULL,
    cause        TEXT NOT NULL,
    hint         TEXT NOT NULL,
    probed_at    BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    UNIQUE (org_id, owner_id, name)
);
CREATE INDEX connections_org ON connections (org_id, id);
CREATE TABLE revocations (
    id         TEXT PRIMARY KEY,
    org_id     TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    server_url TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    token      TEXT NOT NULL,   -- Fernet
    state      TEXT NOT NULL,   -- pending, delivered
    cause      TEXT NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- when the key dies by itself
    created_at BIGINT NOT NULL
);
CREATE INDEX revocations_due ON revocations (state, next_at);
-- +goose Down
DROP TABLE revocations;
DROP TABLE connections;
DROP TABLE devices;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE members;
DROP TABLE organizations;
DROP TABLE users;
