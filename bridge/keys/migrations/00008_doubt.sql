-- +goose Up
ALTER TABLE api_keys ADD COLUMN doubted_at BIGINT NOT NULL DEFAULT 0;  -- when a restored database was accepted, and the key may have been revoked before; 0: somebody has decided
-- +goose Down
ALTER TABLE api_keys DROP COLUMN doubted_at;
