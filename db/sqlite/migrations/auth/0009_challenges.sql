-- When and how the user of a session authenticated.
ALTER TABLE sessions ADD COLUMN auth_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN amr TEXT NOT NULL DEFAULT '["pwd"]';
UPDATE sessions SET auth_time = created_at;

-- Codes and links in mails. Their values are derived; the hash of a link finds its row.
CREATE TABLE challenges (
  id TEXT PRIMARY KEY,
  purpose TEXT NOT NULL,
  address TEXT NOT NULL,
  user_id TEXT,
  data TEXT NOT NULL DEFAULT '{}',
  mail_id TEXT NOT NULL UNIQUE,
  token_hash BLOB UNIQUE,
  requested_at INTEGER NOT NULL,
  code_expires_at INTEGER,
  expires_at INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  taken_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_user ON challenges (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX challenges_expiry ON challenges (expires_at);

INSERT INTO challenges (id, purpose, address, user_id, mail_id, token_hash, requested_at, expires_at, taken_at)
  SELECT lower(hex(randomblob(16))), 'password_reset', '', user_id,
    coalesce(mail_id, lower(hex(randomblob(16)))), token_hash, requested_at, expires_at, taken_at
  FROM password_resets;
INSERT INTO challenges (id, purpose, address, mail_id, requested_at, expires_at)
  SELECT lower(hex(randomblob(16))), 'password_reset', email, id, requested_at, requested_at + 86400000
  FROM mail_requests WHERE kind = 'password_reset' AND link_at IS NULL;
DROP TABLE password_resets;

-- Devices that their users have confirmed by a code.
CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  token_hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_user ON devices (user_id);
CREATE INDEX devices_expiry ON devices (expires_at);

-- Mails of all kinds. The constraint on the kind can only be removed with the table.
CREATE TABLE mails (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  email TEXT NOT NULL,
  user_id TEXT,
  locale TEXT,
  data TEXT NOT NULL DEFAULT '{}',
  requested_at INTEGER NOT NULL,
  ip TEXT,
  request_id TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL DEFAULT 0,
  link_at INTEGER,
  last_error TEXT
) STRICT;
INSERT INTO mails (id, kind, email, requested_at, ip, request_id, tries, next_at, link_at, last_error)
  SELECT id, kind, email, requested_at, ip, request_id, tries, next_at, link_at, last_error FROM mail_requests;
DROP TABLE mail_requests;
ALTER TABLE mails RENAME TO mail_requests;
CREATE INDEX mail_requests_next ON mail_requests (next_at);

-- Mails that were sent, or given up.
CREATE TABLE finished_mails (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  email TEXT NOT NULL,
  user_id TEXT,
  locale TEXT,
  data TEXT NOT NULL DEFAULT '{}',
  requested_at INTEGER NOT NULL,
  ip TEXT,
  request_id TEXT,
  tries INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('sent', 'failed')),
  last_error TEXT,
  finished_at INTEGER NOT NULL
) STRICT;
CREATE INDEX finished_mails_end ON finished_mails (finished_at);
CREATE INDEX finished_mails_user ON finished_mails (user_id);
CREATE INDEX finished_mails_request ON finished_mails (requested_at, id);
CREATE INDEX mail_requests_request ON mail_requests (requested_at, id);
