-- The feed tells of what the outside wants as well. The numbers go on where they were, beyond rows that are gone.
CREATE TABLE revocations_next (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('session', 'user', 'keys', 'events')),
  subject TEXT NOT NULL,
  version INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
INSERT INTO revocations_next SELECT seq, kind, subject, version, until FROM revocations;
DELETE FROM sqlite_sequence WHERE name = 'revocations_next';
INSERT INTO sqlite_sequence (name, seq) SELECT 'revocations_next', seq FROM sqlite_sequence WHERE name = 'revocations';
DROP TABLE revocations;
ALTER TABLE revocations_next RENAME TO revocations;
CREATE INDEX revocations_until ON revocations (until);

CREATE TABLE webhooks (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  description TEXT,
  types TEXT NOT NULL,
  sealed_secret BLOB NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  user_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id TEXT NOT NULL REFERENCES events (id),
  target TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
  tries INTEGER NOT NULL DEFAULT 0,
  since INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  last_status INTEGER,
  last_error TEXT,
  finished_at INTEGER,
  UNIQUE (event_id, target)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (target, next_at, seq) WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (target, seq) WHERE status = 'pending';
CREATE INDEX deliveries_dead ON deliveries (seq) WHERE status = 'dead';
CREATE INDEX deliveries_finished ON deliveries (status, finished_at) WHERE status <> 'pending';
CREATE INDEX deliveries_target ON deliveries (target, seq);

-- An event is kept for as long as there is a delivery of it.
CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries
WHEN NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = OLD.event_id)
BEGIN
  DELETE FROM events WHERE id = OLD.event_id;
END;
