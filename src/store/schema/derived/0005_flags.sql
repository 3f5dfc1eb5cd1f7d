-- The flags in force.

CREATE TABLE flags_now (
    environment TEXT NOT NULL,
    part TEXT NOT NULL,
    key TEXT NOT NULL,
    content TEXT NOT NULL,
    bindings TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (environment, part, key)
);
