-- +goose Up
-- The version of key_changes is the generation of this database; see bridge/mark.
ALTER TABLE key_changes ADD COLUMN known BIGINT NOT NULL DEFAULT 0;    -- the highest that this database is known to have had: a lower version is behind
ALTER TABLE key_changes ADD COLUMN restored BIGINT NOT NULL DEFAULT 0; -- the version at which a restored database was last accepted
-- +goose Down
ALTER TABLE key_changes DROP COLUMN restored;
ALTER TABLE key_changes DROP COLUMN known;
