-- What is current. Everything here can be made anew from the tables of truth: rebuild.c says how.

CREATE TABLE agents_now (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    latest BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE environments_now (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    is_protected BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE refs_now (
    environment TEXT NOT NULL,
    agent TEXT NOT NULL,
    version BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (environment, agent)
);
CREATE INDEX refs_now_agent ON refs_now (agent, environment);

CREATE TABLE holds_now (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (environment, agent)
);

CREATE TABLE overrides_now (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    keys TEXT NOT NULL,
    version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (agent, environment, name)
);
