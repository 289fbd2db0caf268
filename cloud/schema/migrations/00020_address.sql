-- +goose Up
CREATE TABLE address_changes (       -- changes of an e-mail address that wait for the link that was mailed to the new one
    hash       TEXT PRIMARY KEY,     -- SHA-256 of the token that was mailed to the new address
    stop       TEXT NOT NULL UNIQUE, -- SHA-256 of the one that was mailed to the old one
    user_id    TEXT NOT NULL REFERENCES users (id),
    from_email TEXT NOT NULL,
    to_email   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL       -- confirmed, stopped or void; 0: it waits
);
CREATE INDEX address_changes_user ON address_changes (user_id);
CREATE TABLE first_links (           -- with which the first person of a cloud makes the first account
    hash       TEXT PRIMARY KEY,     -- SHA-256
    email      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
-- +goose Down
DROP TABLE first_links;
DROP TABLE address_changes;
