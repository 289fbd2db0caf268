-- +goose Up
ALTER TABLE connections ADD COLUMN ceiling_preset TEXT NOT NULL DEFAULT ''; -- the server's preset that the ceiling's scopes come from
ALTER TABLE connections ADD COLUMN presets TEXT NOT NULL DEFAULT '';        -- names of the server's presets as last read, one a line
CREATE TABLE connection_limits (   -- exceptions: who gets less than all others do over a shared connection
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id       TEXT NOT NULL,   -- or the ID of an API key; it outlives the membership, so that nobody comes back to more
    access        TEXT NOT NULL,   -- limited, none
    preset        TEXT NOT NULL,   -- that the scopes come from, where it was one
    ceiling       TEXT NOT NULL,   -- scopes; empty with none
    PRIMARY KEY (connection_id, user_id)
);
-- +goose Down
DROP TABLE connection_limits;
ALTER TABLE connections DROP COLUMN presets;
ALTER TABLE connections DROP COLUMN ceiling_preset;
