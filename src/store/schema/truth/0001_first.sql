-- The tables of truth. Rows are added, never changed or removed; `head` is the one row that moves.
-- Valid for SQLite and PostgreSQL alike. Hashes are lower-case hex. Times are microseconds since 1970 UTC.

CREATE TABLE head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    audit_hash TEXT NOT NULL
);
INSERT INTO head (id, epoch, seq, at, audit_hash)
VALUES (1, 1, 0, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE epochs (
    epoch BIGINT NOT NULL PRIMARY KEY,
    first_seq BIGINT NOT NULL
);
INSERT INTO epochs (epoch, first_seq) VALUES (1, 0);

CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    operation TEXT NOT NULL,
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE objects (
    content_hash TEXT NOT NULL PRIMARY KEY,
    config_hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    config TEXT NOT NULL
);

CREATE TABLE agent_log (
    agent TEXT NOT NULL,
    seq BIGINT NOT NULL,
    description TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agent, seq)
);
CREATE INDEX agent_log_seq ON agent_log (seq);

CREATE TABLE versions (
    agent TEXT NOT NULL,
    number BIGINT NOT NULL,
    content_hash TEXT NOT NULL REFERENCES objects (content_hash),
    description TEXT NOT NULL,
    source TEXT NOT NULL,
    parent BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (agent, number)
);
CREATE INDEX versions_seq ON versions (seq);

CREATE TABLE environment_log (
    environment TEXT NOT NULL,
    seq BIGINT NOT NULL,
    description TEXT NOT NULL,
    is_protected BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (environment, seq)
);
CREATE INDEX environment_log_seq ON environment_log (seq);

CREATE TABLE releases (
    id TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    reason TEXT NOT NULL,
    rolls_back TEXT REFERENCES releases (id),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
CREATE INDEX releases_environment ON releases (environment, seq);
CREATE INDEX releases_seq ON releases (seq);
CREATE INDEX releases_rolls_back ON releases (rolls_back) WHERE rolls_back IS NOT NULL;

CREATE TABLE deployments (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    previous BIGINT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    release_id TEXT REFERENCES releases (id),
    restores BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agent, environment, seq),
    FOREIGN KEY (agent, version) REFERENCES versions (agent, number)
);
CREATE INDEX deployments_agent ON deployments (agent, seq, environment);
CREATE INDEX deployments_version ON deployments (agent, environment, version, seq);
CREATE INDEX deployments_seq ON deployments (seq);
CREATE INDEX deployments_release ON deployments (release_id, agent) WHERE release_id IS NOT NULL;

CREATE TABLE hold_log (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    seq BIGINT NOT NULL,
    held BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agent, environment, seq)
);
CREATE INDEX hold_log_seq ON hold_log (seq);

CREATE TABLE override_log (
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    keys TEXT NOT NULL,
    version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agent, environment, name, seq)
);
CREATE INDEX override_log_seq ON override_log (seq);

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    environments TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
CREATE INDEX keys_seq ON keys (seq, id);

CREATE TABLE key_revocations (
    id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
    revoked_by TEXT NOT NULL,
    revoked_at BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
CREATE INDEX key_revocations_seq ON key_revocations (seq);

-- Answers to repeated requests: neither truth nor derived; they are forgotten when their time is over.
CREATE TABLE answers (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX answers_at ON answers (at);
