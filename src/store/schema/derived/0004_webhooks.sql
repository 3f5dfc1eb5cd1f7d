-- The webhooks in force.

CREATE TABLE webhooks_now (
    name TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    environment TEXT NOT NULL,
    agent TEXT NOT NULL,
    events TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
