-- Webhooks: what each was told to be, and beside it what is no truth: the secrets in force, which are gone with the webhook, and
-- how far the telling is, which is written by store_record().

CREATE TABLE webhook_log (
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    url TEXT NOT NULL,
    environment TEXT NOT NULL,
    agent TEXT NOT NULL,
    events TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, seq)
);

CREATE TABLE webhook_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    secret TEXT NOT NULL,
    previous TEXT NOT NULL,
    previous_until BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE webhook_deliveries (
    name TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    rollout TEXT NOT NULL,
    delivered_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    failing_since BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    disabled_at BIGINT NOT NULL,
    error TEXT NOT NULL
);
