-- +goose Up
ALTER TABLE sessions ADD COLUMN moves BIGINT NOT NULL DEFAULT 0; -- how often it went to another organization
CREATE TABLE mail_tokens (
    hash       TEXT PRIMARY KEY, -- SHA-256
    user_id    TEXT NOT NULL REFERENCES users (id),
    purpose    TEXT NOT NULL,    -- verify, reset
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id, purpose);
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL, -- verify, reset: to be written when it is due; text: written
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    body       TEXT NOT NULL, -- Fernet; empty until it is written
    address    TEXT NOT NULL, -- of whoever asked for it
    request_id TEXT NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at);
CREATE TABLE totp (
    user_id      TEXT PRIMARY KEY REFERENCES users (id),
    secret       TEXT NOT NULL,   -- Fernet
    confirmed_at BIGINT NOT NULL, -- 0: it is being set up, and not asked for
    last_step    BIGINT NOT NULL, -- the last of 30 seconds whose code was used
    created_at   BIGINT NOT NULL
);
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id),
    hash    TEXT NOT NULL, -- SHA-256 of 80 random bits
    used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE pending_logins (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the cookie's value
    user_id    TEXT NOT NULL REFERENCES users (id),
    tries      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE TABLE login_failures (
    lane     TEXT PRIMARY KEY, -- SHA-256 of the account and, of a known device, of the device
    failures BIGINT NOT NULL,
    until_at BIGINT NOT NULL,  -- no try is taken before
    last_at  BIGINT NOT NULL
);
CREATE TABLE known_devices (
    user_id    TEXT NOT NULL REFERENCES users (id),
    mark       TEXT NOT NULL, -- SHA-256 of a cookie, or of a network
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, mark)
);
-- +goose Down
DROP TABLE known_devices;
DROP TABLE login_failures;
DROP TABLE pending_logins;
DROP TABLE recovery_codes;
DROP TABLE totp;
DROP TABLE outbox;
DROP TABLE mail_tokens;
ALTER TABLE sessions DROP COLUMN moves;
