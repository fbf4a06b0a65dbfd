CREATE TABLE accounts (
  user_id TEXT PRIMARY KEY,
  cached INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  email TEXT NOT NULL,
  email_key TEXT NOT NULL,
  username TEXT,
  name TEXT,
  roles TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
  email_verified INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  password_hash TEXT NOT NULL,
  version INTEGER NOT NULL,
  sessions_from INTEGER NOT NULL,
  tokens_from INTEGER NOT NULL,
  synced_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_email ON accounts (email_key) WHERE deleted = 0;
CREATE INDEX accounts_username ON accounts (username) WHERE deleted = 0 AND username IS NOT NULL;

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('v1', 'v0')),
  counter INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  access_until INTEGER NOT NULL,
  version INTEGER NOT NULL,
  ip TEXT,
  user_agent TEXT,
  refreshes_since INTEGER NOT NULL,
  refreshes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE refresh_hashes (
  hash BLOB PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_hashes_session ON refresh_hashes (session_id);

CREATE TABLE revocations (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('session', 'user', 'keys')),
  subject TEXT NOT NULL,
  version INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_until ON revocations (until);

CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY,
  alg TEXT NOT NULL,
  x TEXT NOT NULL,
  sealed_private_key BLOB NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'retiring')),
  created_at INTEGER NOT NULL,
  gone_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE password_resets (
  token_hash BLOB PRIMARY KEY,
  user_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  taken_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX password_resets_user ON password_resets (user_id);

CREATE TABLE reset_requests (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  ip TEXT,
  request_id TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE login_failures (
  subject TEXT PRIMARY KEY,
  times TEXT NOT NULL,
  cleared_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  user_id TEXT,
  actor TEXT NOT NULL,
  ip TEXT,
  request_id TEXT,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_user ON audit (user_id, seq);
CREATE INDEX audit_type ON audit (type, seq);
CREATE INDEX audit_request ON audit (request_id, seq);

CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE limits (
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;
