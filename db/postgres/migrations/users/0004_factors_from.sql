-- Second factors that were added before this version of the user are void: the address was proved first then.
ALTER TABLE users ADD COLUMN factors_from bigint NOT NULL DEFAULT 0;
