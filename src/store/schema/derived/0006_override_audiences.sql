ALTER TABLE overrides_now ADD COLUMN audience TEXT;
