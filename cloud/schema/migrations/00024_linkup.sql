-- +goose Up
ALTER TABLE connections ADD COLUMN link_up BOOLEAN NOT NULL DEFAULT FALSE; -- has links, or lost them a moment ago; link_since says since when
-- +goose Down
ALTER TABLE connections DROP COLUMN link_up;
