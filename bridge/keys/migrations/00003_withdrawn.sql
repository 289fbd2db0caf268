-- +goose Up
ALTER TABLE api_keys ADD COLUMN withdrawn TEXT NOT NULL DEFAULT ''; -- a JSON object: subject, and until when the access tokens issued are dead
-- +goose Down
ALTER TABLE api_keys DROP COLUMN withdrawn;
