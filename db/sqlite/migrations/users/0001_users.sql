CREATE TABLE users (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL,
  email_key TEXT NOT NULL UNIQUE,
  username TEXT UNIQUE,
  name TEXT,
  roles TEXT NOT NULL,
  is_admin INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
  email_verified INTEGER NOT NULL,
  password_hash TEXT NOT NULL,
  version INTEGER NOT NULL,
  sessions_from INTEGER NOT NULL,
  session_kept TEXT,
  all_sessions_from INTEGER NOT NULL,
  tokens_from INTEGER NOT NULL,
  change INTEGER NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX users_admins ON users (seq) WHERE is_admin = 1;

-- A part of an email, username or name, in any case: every three characters in a row are indexed.
CREATE VIRTUAL TABLE users_search USING fts5 (
  email, username, name, content = 'users', content_rowid = 'seq', tokenize = 'trigram', detail = 'full'
);
CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
  INSERT INTO users_search (rowid, email, username, name) VALUES (new.seq, new.email, new.username, new.name);
END;
CREATE TRIGGER users_search_delete AFTER DELETE ON users BEGIN
  INSERT INTO users_search (users_search, rowid, email, username, name)
  VALUES ('delete', old.seq, old.email, old.username, old.name);
END;
CREATE TRIGGER users_search_update AFTER UPDATE OF email, username, name ON users BEGIN
  INSERT INTO users_search (users_search, rowid, email, username, name)
  VALUES ('delete', old.seq, old.email, old.username, old.name);
  INSERT INTO users_search (rowid, email, username, name) VALUES (new.seq, new.email, new.username, new.name);
END;

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES ('change', 0), ('probe', 0);

CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  target TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_target ON outbox (target, seq);
CREATE INDEX outbox_subject ON outbox (target, subject);

CREATE TABLE limits (
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;
