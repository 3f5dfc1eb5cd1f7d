-- What outcomes add up to. Written by store_record(): no position, no audit entry. The log is what memory is made from;
-- a checkpoint writes what it made and removes the log up to there.

-- Which batches of a sender are taken: all up to `low`, and those in `above`. Below `gap` that is not known any more.
CREATE TABLE outcome_instances (
    instance TEXT NOT NULL PRIMARY KEY,
    low BIGINT NOT NULL,
    gap BIGINT NOT NULL,
    above BLOB NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX outcome_instances_seen ON outcome_instances (seen_at);

CREATE TABLE outcome_log (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    body BLOB NOT NULL
);

-- The rollout '' stands for all of it: how far the log is in the checkpoints.
CREATE TABLE outcome_checkpoints (
    rollout TEXT NOT NULL PRIMARY KEY,
    log BIGINT NOT NULL,
    body BLOB NOT NULL
);

-- For ever. Latency in microseconds, cost in billionths of a dollar, so that sums are exact.
CREATE TABLE outcome_minutes (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    version BIGINT NOT NULL,
    arm TEXT NOT NULL,
    minute BIGINT NOT NULL,
    outcomes BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    latencies BIGINT NOT NULL,
    latency BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    up BIGINT NOT NULL,
    down BIGINT NOT NULL,
    tool_errors BIGINT NOT NULL,
    PRIMARY KEY (agent, environment, version, arm, minute)
);
CREATE INDEX outcome_minutes_minute ON outcome_minutes (agent, environment, minute);

-- The newest failing outcomes of each rollout, numbered from 1.
CREATE TABLE outcome_failures (
    rollout TEXT NOT NULL,
    number BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (rollout, number)
);
