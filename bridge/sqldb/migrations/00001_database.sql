-- +goose Up
CREATE TABLE database_facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- +goose Down
DROP TABLE database_facts;
