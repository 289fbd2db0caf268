-- +goose Up
-- Each filter has an index that gives its entries in the order in which they are read, and refusals, of which there are
-- few, have one of their own.
DROP INDEX audit_org;
DROP INDEX audit_request;
CREATE INDEX audit_org ON audit (org, at, id);
CREATE INDEX audit_actor ON audit (org, actor, at, id);
CREATE INDEX audit_action ON audit (org, action, at, id);
CREATE INDEX audit_target ON audit (org, target, at, id);
CREATE INDEX audit_request ON audit (org, request_id, at, id);
CREATE INDEX audit_refused ON audit (org, at, id) WHERE outcome <> 'ok';
-- +goose Down
DROP INDEX audit_refused;
DROP INDEX audit_request;
DROP INDEX audit_target;
DROP INDEX audit_action;
DROP INDEX audit_actor;
DROP INDEX audit_org;
CREATE INDEX audit_org ON audit (org, id);
CREATE INDEX audit_request ON audit (request_id);
