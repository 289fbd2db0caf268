-- +goose Up
ALTER TABLE api_keys ADD COLUMN lineage TEXT NOT NULL DEFAULT '';        -- personal or organization; empty: a connection's key, or not looked at since the upgrade
ALTER TABLE api_keys ADD COLUMN parent_id TEXT NOT NULL DEFAULT '';      -- the key through which it was made
ALTER TABLE api_keys ADD COLUMN parent_unknown BOOLEAN NOT NULL DEFAULT FALSE; -- personal, from before parents were recorded
ALTER TABLE api_keys ADD COLUMN subject TEXT NOT NULL DEFAULT '';        -- on whose behalf, of a personal key
ALTER TABLE api_keys ADD COLUMN limit_scopes TEXT NOT NULL DEFAULT '';   -- what a withdrawal left to its subject; empty: no limit
ALTER TABLE api_keys ADD COLUMN limit_role TEXT NOT NULL DEFAULT '';     -- the role whose ceiling limits it; empty: none
ALTER TABLE api_keys ADD COLUMN limit_number BIGINT NOT NULL DEFAULT 0;  -- withdrawals up to this one are considered
ALTER TABLE api_keys ADD COLUMN limit_at BIGINT NOT NULL DEFAULT 0;      -- and those without a number up to this time
ALTER TABLE api_keys ADD COLUMN replaces TEXT NOT NULL DEFAULT '';       -- the connection key that it replaces
ALTER TABLE api_keys ADD COLUMN withdrawn_numbers TEXT NOT NULL DEFAULT ''; -- a JSON object: subject, and which numbers are dead
ALTER TABLE api_keys ADD COLUMN withdrawn_highest BIGINT NOT NULL DEFAULT 0; -- the highest number of a withdrawal
CREATE INDEX api_keys_parent ON api_keys (parent_id);
CREATE INDEX api_keys_replaces ON api_keys (replaces);
-- +goose Down
DROP INDEX api_keys_replaces;
DROP INDEX api_keys_parent;
ALTER TABLE api_keys DROP COLUMN withdrawn_highest;
ALTER TABLE api_keys DROP COLUMN withdrawn_numbers;
ALTER TABLE api_keys DROP COLUMN replaces;
ALTER TABLE api_keys DROP COLUMN limit_at;
ALTER TABLE api_keys DROP COLUMN limit_number;
ALTER TABLE api_keys DROP COLUMN limit_role;
ALTER TABLE api_keys DROP COLUMN limit_scopes;
ALTER TABLE api_keys DROP COLUMN subject;
ALTER TABLE api_keys DROP COLUMN parent_unknown;
ALTER TABLE api_keys DROP COLUMN parent_id;
ALTER TABLE api_keys DROP COLUMN lineage;
