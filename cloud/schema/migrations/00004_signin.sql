-- +goose Up
CREATE TABLE codes (                 -- authorization codes (RFC 6749 section 4.1)
    hash         TEXT PRIMARY KEY,   -- SHA-256
    client_id    TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge    TEXT NOT NULL,      -- of PKCE, S256
    user_id      TEXT NOT NULL,
    org_id       TEXT NOT NULL,
    provider_id  TEXT NOT NULL,      -- of the session that approved; empty: none
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    session_id   TEXT NOT NULL       -- that its first use opened
);
CREATE TABLE providers (             -- the OpenID Connect providers of organizations
    id            TEXT PRIMARY KEY,
    org_id        TEXT NOT NULL UNIQUE REFERENCES organizations (id),
    issuer        TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    client_secret TEXT NOT NULL,     -- Fernet, empty for a public client
    default_role  TEXT NOT NULL,     -- empty: none
    groups_claim  TEXT NOT NULL,
    group_roles   TEXT NOT NULL,     -- a JSON object: group to role
    required      BOOLEAN NOT NULL,  -- who comes from the provider cannot sign in with a password
    set_by        TEXT NOT NULL,     -- the role of whoever set it: it vouches for nobody above
    updated_at    BIGINT NOT NULL
);
CREATE TABLE provider_domains (
    org_id      TEXT NOT NULL REFERENCES organizations (id),
    domain      TEXT NOT NULL,       -- lower case, of A-labels
    token       TEXT NOT NULL,       -- what its TXT record must say
    verified_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, domain)
);
CREATE UNIQUE INDEX provider_domains_owner ON provider_domains (domain) WHERE verified_at <> 0;
CREATE TABLE provider_subjects (     -- who is who at a provider
    provider_id TEXT NOT NULL,
    subject     TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id),
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (provider_id, subject)
);
CREATE UNIQUE INDEX provider_subjects_user ON provider_subjects (provider_id, user_id);
CREATE TABLE provider_logins (       -- sign-ins under way at a provider
    hash        TEXT PRIMARY KEY,    -- SHA-256 of the browser's cookie, from which state, nonce and verifier are derived
    provider_id TEXT NOT NULL,
    next        TEXT NOT NULL,       -- the page to go on to
    expires_at  BIGINT NOT NULL
);
ALTER TABLE sessions ADD COLUMN provider_id TEXT NOT NULL DEFAULT ''; -- through which it was opened, and then for its organization only
ALTER TABLE devices ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';  -- of the session that approved
ALTER TABLE devices ADD COLUMN probed BOOLEAN NOT NULL DEFAULT FALSE; -- the last poll named the client in its Authorization header
-- +goose Down
ALTER TABLE devices DROP COLUMN probed;
ALTER TABLE devices DROP COLUMN provider_id;
ALTER TABLE sessions DROP COLUMN provider_id;
DROP TABLE provider_logins;
DROP TABLE provider_subjects;
DROP TABLE provider_domains;
DROP TABLE providers;
DROP TABLE codes;
