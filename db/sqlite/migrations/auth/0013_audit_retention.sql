-- Rows that AUDIT_RETENTION removes: up to the number in the fact, which is written with a row of the audit that says so.
DROP TRIGGER audit_kept;
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
WHEN OLD.seq > coalesce((SELECT CAST(value AS INTEGER) FROM facts WHERE name = 'audit_trimmed'), 0) BEGIN
  SELECT RAISE(ABORT, 'A row of the audit is never removed');
END;
