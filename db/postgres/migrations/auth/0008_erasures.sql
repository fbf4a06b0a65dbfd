-- Parts of a row can be erased, and the chain still verifies: its hash covers a digest of the origin (ip, request_id) and one
-- of the detail. A seal is the salt of the digest (16 bytes), or the digest itself (32 bytes) after the part was erased.
-- Rows of earlier versions have no seals, because their hash covers the text. One of which a part was erased keeps its hash,
-- and another row of the audit has a digest of what is left of it.
ALTER TABLE audit ADD COLUMN origin_seal bytea;
ALTER TABLE audit ADD COLUMN detail_seal bytea;
ALTER TABLE audit ADD COLUMN row_hash bytea;

-- Users whose data is erased. The names stay until that is complete.
CREATE TABLE erasures (
  user_id text COLLATE "C" PRIMARY KEY,
  begun_at bigint NOT NULL,
  emails text COLLATE "C" NOT NULL,
  keys text COLLATE "C" NOT NULL,
  -- The last row of the audit that was looked at, the last one whose remains another row records, and how many were erased.
  audit_seq bigint NOT NULL DEFAULT 0,
  recorded_seq bigint NOT NULL DEFAULT 0,
  erased_rows bigint NOT NULL DEFAULT 0,
  done_at bigint
);
CREATE INDEX events_user ON events (user_id);
