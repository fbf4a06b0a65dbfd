-- Null until code has linked the rows from before, which it does in the transaction of this migration.
ALTER TABLE audit ADD COLUMN prev_hash BLOB;

CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit WHEN OLD.prev_hash IS NOT NULL BEGIN
  SELECT RAISE(ABORT, 'A row of the audit is never changed');
END;
CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'A row of the audit is never removed');
END;
