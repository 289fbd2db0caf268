-- +goose Up
-- Unix seconds, 0 for none; written under the lock of the one row of key_changes.
ALTER TABLE key_changes ADD COLUMN newest BIGINT NOT NULL DEFAULT 0;    -- the newest time seen: time never runs below it
ALTER TABLE key_changes ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;     -- how often an operator has accepted a clock or a restored database
ALTER TABLE key_changes ADD COLUMN accepted BIGINT NOT NULL DEFAULT 0;  -- when that was the last time: older connect tokens are refused
ALTER TABLE key_changes ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;     -- the newest time seen before an earlier one was accepted
ALTER TABLE key_changes ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0; -- the latest expiry of a connect token whose use is forgotten
-- +goose Down
ALTER TABLE key_changes DROP COLUMN forgotten;
ALTER TABLE key_changes DROP COLUMN ended;
ALTER TABLE key_changes DROP COLUMN accepted;
ALTER TABLE key_changes DROP COLUMN epoch;
ALTER TABLE key_changes DROP COLUMN newest;
