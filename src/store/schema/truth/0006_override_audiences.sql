-- An override may be for those to whom a rule applies, instead of for named users. NULL: it names its users.

ALTER TABLE override_log ADD COLUMN audience TEXT;
