-- +goose Up
ALTER TABLE users ADD COLUMN country TEXT NOT NULL DEFAULT '';       -- ISO 3166-1 alpha-2
ALTER TABLE users ADD COLUMN currency TEXT NOT NULL DEFAULT '';      -- ISO 4217
ALTER TABLE users ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0;  -- the e-mail address is theirs; 0: not shown yet
UPDATE users SET verified_at = created_at;                           -- an operator has made them
ALTER TABLE members ADD COLUMN source TEXT NOT NULL DEFAULT 'operator'; -- operator, founder, invitation, provider
ALTER TABLE sessions ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
-- +goose Down
ALTER TABLE sessions DROP COLUMN user_agent;
ALTER TABLE members DROP COLUMN source;
ALTER TABLE users DROP COLUMN verified_at;
ALTER TABLE users DROP COLUMN currency;
ALTER TABLE users DROP COLUMN country;
