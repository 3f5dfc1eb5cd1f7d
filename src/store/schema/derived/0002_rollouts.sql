-- Where every rollout stands, the panics in force, the newest templates.

ALTER TABLE agents_now ADD COLUMN session TEXT NOT NULL DEFAULT 'pin';

CREATE TABLE rollouts_now (
    id TEXT NOT NULL PRIMARY KEY,
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    state TEXT NOT NULL,
    step BIGINT NOT NULL,
    share BIGINT NOT NULL,
    step_at BIGINT NOT NULL,
    words TEXT NOT NULL,
    moved_by TEXT NOT NULL,
    moved_at BIGINT NOT NULL,
    moved_seq BIGINT NOT NULL
);
-- At most one open rollout a ref.
CREATE UNIQUE INDEX rollouts_now_open ON rollouts_now (environment, agent) WHERE state IN ('running', 'paused', 'held');

CREATE TABLE panics_now (
    environment TEXT NOT NULL,
    agent TEXT NOT NULL,
    version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (environment, agent)
);

CREATE TABLE rollout_templates_now (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
