-- Grants of earlier versions of a client have ended: it was disabled since.
ALTER TABLE clients ADD COLUMN grants_from INTEGER NOT NULL DEFAULT 0;

-- Whether a session is that of an offline grant, whose id it has.
ALTER TABLE sessions ADD COLUMN of_grant INTEGER NOT NULL DEFAULT 0;

-- The access that users gave clients.
CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resource TEXT,
  offline INTEGER NOT NULL,
  version INTEGER NOT NULL,
  client_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  access_until INTEGER NOT NULL,
  ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_session ON grants (session_id, client_id);
CREATE INDEX grants_user ON grants (user_id, created_at);
CREATE INDEX grants_client ON grants (client_id, client_version);
CREATE INDEX grants_end ON grants (ends_at);

-- Authorization codes, by SHA-256.
CREATE TABLE authorization_codes (
  hash BLOB PRIMARY KEY,
  client_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resource TEXT,
  nonce TEXT,
  code_challenge TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  auth_time INTEGER NOT NULL,
  amr TEXT NOT NULL,
  used_at INTEGER,
  grant_id TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_codes_expiry ON authorization_codes (expires_at);

-- The scopes that users have allowed clients.
CREATE TABLE consents (
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  given_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;

-- Clients that are still to be told of the end of a session.
CREATE TABLE client_logouts (
  id TEXT PRIMARY KEY,
  client_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  last_error TEXT
) STRICT, WITHOUT ROWID;
-- One for each client and session: a second end while the first is not acknowledged takes its place.
CREATE UNIQUE INDEX client_logouts_session ON client_logouts (client_id, session_id);
CREATE INDEX client_logouts_next ON client_logouts (client_id, next_at, id);
