-- +goose Up
ALTER TABLE organizations ADD COLUMN created_by TEXT NOT NULL DEFAULT ''; -- user ID; empty: an operator's
CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    org_id     TEXT NOT NULL REFERENCES organizations (id),
    token      TEXT NOT NULL UNIQUE, -- SHA-256 of the link's token that the inviter was shown
    mailed     TEXT NOT NULL UNIQUE, -- SHA-256 of the one that was sent to the address, or the invitation's ID where none was
    email      TEXT NOT NULL,        -- who alone may accept, lower case; empty: whoever has the link
    role       TEXT NOT NULL,
    inviter_id TEXT NOT NULL,        -- user ID, or ID of an API key
    inviter    TEXT NOT NULL,        -- as the page shows it
    state      TEXT NOT NULL,        -- open, accepted, withdrawn
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX invitations_org ON invitations (org_id, state, id);
-- +goose Down
DROP TABLE invitations;
ALTER TABLE organizations DROP COLUMN created_by;
