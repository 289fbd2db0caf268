-- +goose Up
CREATE TABLE relay_uses (          -- who has called which server through the relay within a day, so that each is audited once
    connection_id TEXT NOT NULL,
    user_id       TEXT NOT NULL,   -- or the ID of the API key that called
    noted_at      BIGINT NOT NULL,
    PRIMARY KEY (connection_id, user_id)
);
-- +goose Down
DROP TABLE relay_uses;
