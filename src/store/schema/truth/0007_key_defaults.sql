-- Whether a key's clients are answered with a disabled flag's default value, because they take no answer without one.

ALTER TABLE keys ADD COLUMN materialise_defaults BIGINT NOT NULL DEFAULT 0;
