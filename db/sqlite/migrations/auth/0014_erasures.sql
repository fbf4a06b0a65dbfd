-- Parts of a row can be erased, and the chain still verifies: its hash covers a digest of the origin (ip, request_id) and one
-- of the detail. A seal is the salt of the digest (16 bytes), or the digest itself (32 bytes) after the part was erased.
-- Earlier rows have no seals, because their hash covers the text. One of which a part was erased keeps its hash, and another
-- row of the audit has a digest of what is left of it.
ALTER TABLE audit ADD COLUMN origin_seal BLOB;
ALTER TABLE audit ADD COLUMN detail_seal BLOB;
ALTER TABLE audit ADD COLUMN row_hash BLOB;

-- Users whose data is erased. The names stay until that is complete.
CREATE TABLE erasures (
  user_id TEXT PRIMARY KEY,
  begun_at INTEGER NOT NULL,
  emails TEXT NOT NULL,
  keys TEXT NOT NULL,
  -- The last row of the audit that was looked at, the last one whose remains another row records, and how many were erased.
  audit_seq INTEGER NOT NULL DEFAULT 0,
  recorded_seq INTEGER NOT NULL DEFAULT 0,
  erased_rows INTEGER NOT NULL DEFAULT 0,
  done_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX events_user ON events (user_id);

DROP TRIGGER audit_unchanged;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit WHEN OLD.prev_hash IS NOT NULL AND NOT (
  NEW.seq = OLD.seq AND NEW.id = OLD.id AND NEW.at = OLD.at AND NEW.type = OLD.type AND NEW.user_id IS OLD.user_id
  AND NEW.actor = OLD.actor AND NEW.prev_hash IS OLD.prev_hash
  AND ((NEW.ip IS OLD.ip AND NEW.request_id IS OLD.request_id) OR (NEW.ip IS NULL AND NEW.request_id IS NULL))
  AND (NEW.detail = OLD.detail OR NEW.detail = '{"erased":true}')
  AND (NEW.row_hash IS NOT NULL OR length(NEW.origin_seal) = 32 OR length(NEW.detail_seal) = 32)
  AND (OLD.user_id IS NULL OR EXISTS (
    SELECT 1 FROM erasures WHERE user_id IN (OLD.user_id, substr(OLD.actor, length('user:') + 1))))
) BEGIN
  SELECT RAISE(ABORT, 'A row of the audit is never changed');
END;
