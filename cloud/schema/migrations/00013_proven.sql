-- +goose Up
ALTER TABLE members ADD COLUMN id TEXT NOT NULL DEFAULT '';         -- of this membership: a person who leaves and comes back has another
UPDATE members SET id = org_id || ':' || user_id;
CREATE UNIQUE INDEX members_id ON members (id);
ALTER TABLE sessions ADD COLUMN member_id TEXT NOT NULL DEFAULT ''; -- the membership that the session is for
UPDATE sessions SET member_id = org_id || ':' || user_id;
ALTER TABLE devices ADD COLUMN member_id TEXT NOT NULL DEFAULT '';  -- of the session that approved; empty: from before there were IDs
ALTER TABLE codes ADD COLUMN member_id TEXT NOT NULL DEFAULT '';
CREATE TABLE token_members (        -- the membership that a personal access token was made in
    key_id      TEXT PRIMARY KEY,
    member_id   TEXT NOT NULL,
    provider_id TEXT NOT NULL       -- of the session that made it; empty: none
);
CREATE INDEX token_members_member ON token_members (member_id);
CREATE TABLE waiting_members (      -- memberships that start when the person proves the e-mail address
    user_id       TEXT NOT NULL REFERENCES users (id),
    org_id        TEXT NOT NULL REFERENCES organizations (id),
    role          TEXT NOT NULL,
    invitation_id TEXT NOT NULL,    -- empty: a membership from before addresses had to be proven
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (user_id, org_id)
);
CREATE TABLE unproven_sessions (    -- of accounts whose address is not proven: they open a page that sends the mail again
    hash       TEXT PRIMARY KEY,    -- SHA-256 of the cookie's value
    user_id    TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
INSERT INTO waiting_members (user_id, org_id, role, invitation_id, created_at)
    SELECT user_id, org_id, role, '', joined_at FROM members WHERE user_id IN (SELECT id FROM users WHERE verified_at = 0);
DELETE FROM members WHERE user_id IN (SELECT id FROM users WHERE verified_at = 0);
-- +goose Down
INSERT INTO members (id, org_id, user_id, role, joined_at, source)
    SELECT w.org_id || ':' || w.user_id, w.org_id, w.user_id, w.role, w.created_at, 'invitation' FROM waiting_members w
    WHERE w.invitation_id = '' AND NOT EXISTS (SELECT 1 FROM members m WHERE m.org_id = w.org_id AND m.user_id = w.user_id);
DROP TABLE unproven_sessions;
DROP TABLE waiting_members;
DROP TABLE token_members;
ALTER TABLE codes DROP COLUMN member_id;
ALTER TABLE devices DROP COLUMN member_id;
ALTER TABLE sessions DROP COLUMN member_id;
DROP INDEX members_id;
ALTER TABLE members DROP COLUMN id;
