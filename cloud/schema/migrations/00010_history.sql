-- +goose Up
ALTER TABLE connections ADD COLUMN latency_ms BIGINT NOT NULL DEFAULT 0; -- of the last probe, rounded up; 0: nothing answered
CREATE TABLE connection_history (   -- how a connection was, by half hours and by days
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    span          BIGINT NOT NULL,  -- 1800 or 86400 seconds
    bucket        BIGINT NOT NULL,  -- when they began
    online        BIGINT NOT NULL DEFAULT 0, -- probes that found it so, as the next three
    offline       BIGINT NOT NULL DEFAULT 0,
    unauthorized  BIGINT NOT NULL DEFAULT 0,
    unknown       BIGINT NOT NULL DEFAULT 0,
    probe_answers BIGINT NOT NULL DEFAULT 0, -- probes that were answered, and how long that took in microseconds
    probe_us      BIGINT NOT NULL DEFAULT 0,
    probe_us_max  BIGINT NOT NULL DEFAULT 0,
    calls         BIGINT NOT NULL DEFAULT 0, -- through the relay
    failures      BIGINT NOT NULL DEFAULT 0, -- of these: no answer, or one of 500 and above
    answers       BIGINT NOT NULL DEFAULT 0, -- of these: there was one, which began after so many microseconds
    answer_us     BIGINT NOT NULL DEFAULT 0,
    answer_us_max BIGINT NOT NULL DEFAULT 0,
    credentials   BIGINT NOT NULL DEFAULT 0, -- handed out for direct calls
    PRIMARY KEY (connection_id, span, bucket)
);
CREATE INDEX connection_history_bucket ON connection_history (span, bucket);
CREATE TABLE member_uses (          -- who has used a connection, by days
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id       TEXT NOT NULL,    -- or the ID of an API key
    bucket        BIGINT NOT NULL,  -- when the day began, UTC
    calls         BIGINT NOT NULL DEFAULT 0, -- as above
    failures      BIGINT NOT NULL DEFAULT 0,
    answers       BIGINT NOT NULL DEFAULT 0,
    answer_us     BIGINT NOT NULL DEFAULT 0,
    credentials   BIGINT NOT NULL DEFAULT 0,
    last_at       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (connection_id, user_id, bucket)
);
CREATE INDEX member_uses_last ON member_uses (connection_id, user_id, last_at);
CREATE INDEX member_uses_bucket ON member_uses (bucket);
CREATE TABLE change_counters (      -- how many changes of connections an organization has seen
    org_id TEXT PRIMARY KEY REFERENCES organizations (id),
    seq    BIGINT NOT NULL
);
CREATE TABLE connection_changes (   -- which of them was the last of each connection
    connection_id TEXT PRIMARY KEY, -- also of one that is gone
    org_id        TEXT NOT NULL,
    owner_id      TEXT NOT NULL,
    seq           BIGINT NOT NULL,
    lost          BIGINT NOT NULL,  -- the last by which members stopped seeing it, and when that was; 0: none
    lost_at       BIGINT NOT NULL,
    gone          BOOLEAN NOT NULL,
    changed_at    BIGINT NOT NULL
);
CREATE INDEX connection_changes_org ON connection_changes (org_id, seq);
CREATE INDEX connection_changes_at ON connection_changes (changed_at);
INSERT INTO connection_changes (connection_id, org_id, owner_id, seq, lost, lost_at, gone, changed_at)
    SELECT id, org_id, owner_id, 0, 0, 0, FALSE, 0 FROM connections;
-- +goose Down
DROP TABLE connection_changes;
DROP TABLE change_counters;
DROP TABLE member_uses;
DROP TABLE connection_history;
ALTER TABLE connections DROP COLUMN latency_ms;
