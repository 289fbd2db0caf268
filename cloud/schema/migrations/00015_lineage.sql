-- +goose Up
ALTER TABLE connections ADD COLUMN statement_number BIGINT NOT NULL DEFAULT 1;  -- of the last withdrawal; access tokens carry it
ALTER TABLE connections ADD COLUMN act_as BOOLEAN NOT NULL DEFAULT TRUE;        -- access tokens may name other subjects than the key's own
ALTER TABLE connections ADD COLUMN key_subject TEXT NOT NULL DEFAULT '';        -- the key's own subject, where act_as is false; empty: not known yet
UPDATE connections SET act_as = FALSE WHERE ace AND method = 'manual';
ALTER TABLE handed_tokens ADD COLUMN makes_keys BOOLEAN NOT NULL DEFAULT FALSE; -- personal keys may have been made with them: kept until a withdrawal is delivered
ALTER TABLE handed_tokens ADD COLUMN number BIGINT NOT NULL DEFAULT 0;          -- of the withdrawal that is under way; 0: none is
ALTER TABLE handed_tokens ADD COLUMN parent_1 TEXT NOT NULL DEFAULT '';         -- IDs of the API keys of this cloud that the one that asked was made with
ALTER TABLE handed_tokens ADD COLUMN parent_2 TEXT NOT NULL DEFAULT '';
ALTER TABLE handed_tokens ADD COLUMN parent_3 TEXT NOT NULL DEFAULT '';
CREATE INDEX handed_tokens_user ON handed_tokens (user_id);
CREATE INDEX handed_tokens_number ON handed_tokens (number) WHERE number <> 0;
CREATE TABLE access_changes (       -- members whose role or membership has changed, so that what they hold is looked at
    org_id     TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX access_changes_at ON access_changes (changed_at);
ALTER TABLE revocations ADD COLUMN after_key TEXT NOT NULL DEFAULT '';          -- the key that replaces this one: once it works, the revocation is due
-- +goose Down
ALTER TABLE revocations DROP COLUMN after_key;
DROP TABLE access_changes;
DROP INDEX handed_tokens_number;
DROP INDEX handed_tokens_user;
ALTER TABLE handed_tokens DROP COLUMN parent_3;
ALTER TABLE handed_tokens DROP COLUMN parent_2;
ALTER TABLE handed_tokens DROP COLUMN parent_1;
ALTER TABLE handed_tokens DROP COLUMN number;
ALTER TABLE handed_tokens DROP COLUMN makes_keys;
ALTER TABLE connections DROP COLUMN key_subject;
ALTER TABLE connections DROP COLUMN act_as;
ALTER TABLE connections DROP COLUMN statement_number;
