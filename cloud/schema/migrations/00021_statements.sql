-- +goose Up
-- Withdrawals that a server has not taken yet, and those to send again where it goes on with a backup.
ALTER TABLE handed_tokens ADD COLUMN lost_at BIGINT NOT NULL DEFAULT 0;           -- since when the withdrawal is under way
ALTER TABLE handed_tokens ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;             -- deliveries of it that failed
ALTER TABLE handed_tokens ADD COLUMN cause TEXT NOT NULL DEFAULT '';              -- of the last failure
ALTER TABLE handed_tokens ADD COLUMN made_keys BOOLEAN NOT NULL DEFAULT FALSE;    -- personal keys may have been made with them: kept as long as the connection's key
ALTER TABLE handed_tokens ADD COLUMN told_number BIGINT NOT NULL DEFAULT 0;       -- of the last withdrawal that the server has taken
ALTER TABLE handed_tokens ADD COLUMN restate BOOLEAN NOT NULL DEFAULT FALSE;      -- that one is to be sent again
UPDATE handed_tokens SET made_keys = makes_keys;
CREATE INDEX handed_tokens_tries ON handed_tokens (connection_id) WHERE tries > 0;
CREATE INDEX handed_tokens_restate ON handed_tokens (connection_id, number) WHERE restate;
-- +goose Down
DROP INDEX handed_tokens_restate;
DROP INDEX handed_tokens_tries;
ALTER TABLE handed_tokens DROP COLUMN restate;
ALTER TABLE handed_tokens DROP COLUMN told_number;
ALTER TABLE handed_tokens DROP COLUMN made_keys;
ALTER TABLE handed_tokens DROP COLUMN cause;
ALTER TABLE handed_tokens DROP COLUMN tries;
ALTER TABLE handed_tokens DROP COLUMN lost_at;
