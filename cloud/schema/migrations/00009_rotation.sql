-- +goose Up
ALTER TABLE connections ADD COLUMN rotate_at BIGINT NOT NULL DEFAULT 0;        -- when the key is to be rotated, or tried again; 0: never
ALTER TABLE connections ADD COLUMN rotate_key TEXT NOT NULL DEFAULT '';        -- Fernet: the idempotency key of a rotation that has begun
ALTER TABLE connections ADD COLUMN rotate_tries BIGINT NOT NULL DEFAULT 0;     -- that have failed
ALTER TABLE connections ADD COLUMN rotate_failed_at BIGINT NOT NULL DEFAULT 0; -- when the last one did; 0: it did not
ALTER TABLE connections ADD COLUMN rotate_cause TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN rotate_hint TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN rotated_at BIGINT NOT NULL DEFAULT 0;       -- 0: never
UPDATE connections SET rotate_at = expires_at - 14 * 24 * 60 * 60 WHERE expires_at <> 0;
CREATE INDEX connections_rotate ON connections (rotate_at);
-- +goose Down
DROP INDEX connections_rotate;
ALTER TABLE connections DROP COLUMN rotated_at;
ALTER TABLE connections DROP COLUMN rotate_hint;
ALTER TABLE connections DROP COLUMN rotate_cause;
ALTER TABLE connections DROP COLUMN rotate_failed_at;
ALTER TABLE connections DROP COLUMN rotate_tries;
ALTER TABLE connections DROP COLUMN rotate_key;
ALTER TABLE connections DROP COLUMN rotate_at;
