CREATE TABLE modules (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  version TEXT NOT NULL,
  required_roles TEXT NOT NULL,
  requires TEXT NOT NULL,
  default_enabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was chosen for a user; where nothing was, the module's default counts.
CREATE TABLE choices (
  user_id TEXT NOT NULL,
  module_id TEXT NOT NULL REFERENCES modules (id) ON DELETE CASCADE,
  enabled INTEGER NOT NULL,
  enabled_at INTEGER,
  PRIMARY KEY (user_id, module_id),
  CHECK ((enabled = 1) = (enabled_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX choices_by_module ON choices (module_id, enabled, user_id);

-- Who was deleted: a change that was under way meanwhile must not bring anything of theirs back.
CREATE TABLE deleted_users (user_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES ('probe', 0);

CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  target TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_target ON outbox (target, seq);
CREATE INDEX outbox_subject ON outbox (target, subject);
