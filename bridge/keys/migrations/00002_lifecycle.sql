-- +goose Up
-- Every change of a key takes the next version, under the lock of this one row: versions are committed in their order,
-- so that who has seen one has seen all before it.
CREATE TABLE key_changes (
    id      BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO key_changes (id, version) VALUES (1, 0);
ALTER TABLE api_keys ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT '';           -- of the person that an exchange was for
ALTER TABLE api_keys ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0;     -- of the secret
ALTER TABLE api_keys ADD COLUMN disabled_at BIGINT NOT NULL DEFAULT 0;   -- 0: not disabled
ALTER TABLE api_keys ADD COLUMN disabled_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN prev_hash TEXT NOT NULL DEFAULT '';      -- the secret before a rotation
ALTER TABLE api_keys ADD COLUMN prev_public TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN prev_until BIGINT NOT NULL DEFAULT 0;    -- 0: none; it is valid before then
ALTER TABLE api_keys ADD COLUMN rotate_token TEXT NOT NULL DEFAULT '';   -- hash of the rotation's idempotency key
ALTER TABLE api_keys ADD COLUMN rotate_salt TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN allow_from TEXT NOT NULL DEFAULT '';     -- CIDRs, separated by spaces; empty: any
ALTER TABLE api_keys ADD COLUMN rate_count BIGINT NOT NULL DEFAULT 0;    -- uses in rate_seconds; 0: any number
ALTER TABLE api_keys ADD COLUMN rate_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN max_uses BIGINT NOT NULL DEFAULT 0;      -- 0: any number
ALTER TABLE api_keys ADD COLUMN uses BIGINT NOT NULL DEFAULT 0;          -- counted where max_uses is set
ALTER TABLE api_keys ADD COLUMN warned_days BIGINT NOT NULL DEFAULT 0;   -- the last expiry warning; 0: none
UPDATE api_keys SET issued_at = created_at;
CREATE INDEX api_keys_version ON api_keys (version);
CREATE INDEX api_keys_expiry ON api_keys (expires_at);
-- +goose Down
DROP INDEX api_keys_expiry;
DROP INDEX api_keys_version;
ALTER TABLE api_keys DROP COLUMN warned_days;
ALTER TABLE api_keys DROP COLUMN uses;
ALTER TABLE api_keys DROP COLUMN max_uses;
ALTER TABLE api_keys DROP COLUMN rate_seconds;
ALTER TABLE api_keys DROP COLUMN rate_count;
ALTER TABLE api_keys DROP COLUMN allow_from;
ALTER TABLE api_keys DROP COLUMN rotate_salt;
ALTER TABLE api_keys DROP COLUMN rotate_token;
ALTER TABLE api_keys DROP COLUMN prev_until;
ALTER TABLE api_keys DROP COLUMN prev_public;
ALTER TABLE api_keys DROP COLUMN prev_hash;
ALTER TABLE api_keys DROP COLUMN disabled_by;
ALTER TABLE api_keys DROP COLUMN disabled_at;
ALTER TABLE api_keys DROP COLUMN issued_at;
ALTER TABLE api_keys DROP COLUMN role;
ALTER TABLE api_keys DROP COLUMN version;
DROP TABLE key_changes;
