-- Rollouts and every move of them, panics, templates of rollouts, and what an agent's sessions hold to.
-- Shares are thousandths of a percent. Evidence is bytes as lower-case hex.

ALTER TABLE agent_log ADD COLUMN session TEXT NOT NULL DEFAULT 'pin';

-- When a version was left there by going back: what its sessions ask.
CREATE INDEX deployments_left ON deployments (agent, environment, previous, seq) WHERE kind IN ('rollback', 'panic');

CREATE TABLE rollouts (
    id TEXT NOT NULL PRIMARY KEY,
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    candidate BIGINT NOT NULL,
    stable BIGINT NOT NULL,
    salt TEXT NOT NULL,
    audience TEXT,
    plan TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    FOREIGN KEY (agent, candidate) REFERENCES versions (agent, number),
    FOREIGN KEY (agent, stable) REFERENCES versions (agent, number)
);
CREATE INDEX rollouts_seq ON rollouts (seq);
CREATE INDEX rollouts_agent ON rollouts (agent, seq);
CREATE INDEX rollouts_environment ON rollouts (environment, seq);
CREATE INDEX rollouts_ref ON rollouts (agent, environment, seq);
CREATE INDEX rollouts_candidate ON rollouts (agent, environment, candidate, seq);

CREATE TABLE rollout_moves (
    rollout TEXT NOT NULL REFERENCES rollouts (id),
    seq BIGINT NOT NULL,
    agent TEXT NOT NULL,
    environment TEXT NOT NULL,
    state TEXT NOT NULL,
    step BIGINT NOT NULL,
    share BIGINT NOT NULL,
    step_at BIGINT NOT NULL,
    action TEXT NOT NULL,
    words TEXT NOT NULL,
    evidence TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (rollout, seq)
);
CREATE INDEX rollout_moves_seq ON rollout_moves (seq);
CREATE INDEX rollout_moves_ref ON rollout_moves (agent, environment, seq);

CREATE TABLE panic_log (
    environment TEXT NOT NULL,
    agent TEXT NOT NULL,
    seq BIGINT NOT NULL,
    is_on BIGINT NOT NULL,
    version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (environment, agent, seq)
);
CREATE INDEX panic_log_seq ON panic_log (seq);

CREATE TABLE rollout_template_log (
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, seq)
);
