-- +goose Up
CREATE TABLE encryption_keys (          -- those of ACE_DATABASE_ENCRYPTION_KEY that have been the first of it, by their IDs
    id            TEXT NOT NULL PRIMARY KEY,
    first_used_at BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL,      -- 0: it is known from rows alone
    host          TEXT NOT NULL,        -- where it was last used
    accepted_at   BIGINT NOT NULL       -- when an operator accepted that it is missing; 0: nobody has
);
CREATE TABLE signing_keys (             -- of ACE_CLOUD_SIGNING_KEY, their public parts: a number is one key's for good
    kid           TEXT NOT NULL PRIMARY KEY,
    public_key    TEXT NOT NULL,
    first_used_at BIGINT NOT NULL
);
-- +goose Down
DROP TABLE signing_keys;
DROP TABLE encryption_keys;
UPDATE connections SET secret = substr(secret, 10) WHERE substr(secret, 9, 1) = '.';
UPDATE connections SET rotate_key = substr(rotate_key, 10) WHERE substr(rotate_key, 9, 1) = '.';
UPDATE revocations SET token = substr(token, 10) WHERE substr(token, 9, 1) = '.';
UPDATE providers SET client_secret = substr(client_secret, 10) WHERE substr(client_secret, 9, 1) = '.';
UPDATE outbox SET body = substr(body, 10) WHERE substr(body, 9, 1) = '.';
UPDATE totp SET secret = substr(secret, 10) WHERE substr(secret, 9, 1) = '.';
