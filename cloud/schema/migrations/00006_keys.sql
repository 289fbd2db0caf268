-- +goose Up
-- An organization's key that connects servers is their owner by a row of its own: its ID is the key's, and nobody signs in as it.
ALTER TABLE connections ADD COLUMN environment TEXT NOT NULL DEFAULT 'live'; -- test: made with a test key, and seen by those alone
-- +goose Down
ALTER TABLE connections DROP COLUMN environment;
