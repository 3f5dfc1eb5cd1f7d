-- Flags of environments: every setting and removing of a flag, of a rule that flags share, and of what is said of all of them.
-- part: flag, evaluator or metadata; content: JSON of it.

CREATE TABLE flag_log (
    environment TEXT NOT NULL,
    part TEXT NOT NULL,
    key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    content TEXT NOT NULL,
    bindings TEXT NOT NULL,
    removed BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (environment, part, key, seq)
);
CREATE INDEX flag_log_seq ON flag_log (seq);
CREATE INDEX flag_log_environment ON flag_log (environment, seq);
