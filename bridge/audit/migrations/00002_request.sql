-- +goose Up
CREATE INDEX audit_request ON audit (request_id);
-- +goose Down
DROP INDEX audit_request;
