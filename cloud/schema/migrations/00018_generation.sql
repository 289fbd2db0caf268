-- +goose Up
-- The change numbers that a connection's server has told; see keys.ChangeNumbers.
ALTER TABLE connections ADD COLUMN server_generation BIGINT NOT NULL DEFAULT 0;    -- the highest of the server that issued generation_key
ALTER TABLE connections ADD COLUMN generation_key TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN server_restored BIGINT NOT NULL DEFAULT 0;      -- at which a restored database was last accepted there
-- +goose Down
ALTER TABLE connections DROP COLUMN server_restored;
ALTER TABLE connections DROP COLUMN generation_key;
ALTER TABLE connections DROP COLUMN server_generation;
