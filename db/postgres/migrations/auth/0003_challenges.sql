-- When and how the user of a session authenticated. A node of the version before writes 0 as the time.
ALTER TABLE sessions ADD COLUMN auth_time bigint NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN amr text COLLATE "C" NOT NULL DEFAULT '["pwd"]';

-- Codes and links in mails. Their values are derived; the hash of a link finds its row.
CREATE TABLE challenges (
  id text COLLATE "C" PRIMARY KEY,
  purpose text COLLATE "C" NOT NULL,
  address text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  data text COLLATE "C" NOT NULL DEFAULT '{}',
  mail_id text COLLATE "C" NOT NULL UNIQUE,
  token_hash bytea UNIQUE,
  requested_at bigint NOT NULL,
  code_expires_at bigint,
  expires_at bigint NOT NULL,
  tries bigint NOT NULL DEFAULT 0,
  taken_at bigint
);
CREATE INDEX challenges_user ON challenges (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX challenges_expiry ON challenges (expires_at);

-- The table stays for nodes of the version before, which make and take links until they are updated.
INSERT INTO challenges (id, purpose, address, user_id, mail_id, token_hash, requested_at, expires_at, taken_at)
  SELECT replace(gen_random_uuid()::text, '-', ''), 'password_reset', '', user_id,
    coalesce(mail_id, gen_random_uuid()::text), token_hash, requested_at, expires_at, taken_at
  FROM password_resets;
INSERT INTO challenges (id, purpose, address, mail_id, requested_at, expires_at)
  SELECT replace(gen_random_uuid()::text, '-', ''), 'password_reset', email, id, requested_at, requested_at + 86400000
  FROM mail_requests WHERE kind = 'password_reset' AND link_at IS NULL;

-- Devices that their users have confirmed by a code.
CREATE TABLE devices (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  token_hash bytea NOT NULL UNIQUE,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX devices_user ON devices (user_id);
CREATE INDEX devices_expiry ON devices (expires_at);

-- Mails of all kinds.
ALTER TABLE mail_requests DROP CONSTRAINT mail_requests_kind_check;
ALTER TABLE mail_requests ADD COLUMN user_id text COLLATE "C";
ALTER TABLE mail_requests ADD COLUMN locale text COLLATE "C";
ALTER TABLE mail_requests ADD COLUMN data text COLLATE "C" NOT NULL DEFAULT '{}';

-- Mails that were sent, or given up.
CREATE TABLE finished_mails (
  id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  email text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  locale text COLLATE "C",
  data text COLLATE "C" NOT NULL DEFAULT '{}',
  requested_at bigint NOT NULL,
  ip text COLLATE "C",
  request_id text COLLATE "C",
  tries bigint NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (status IN ('sent', 'failed')),
  last_error text COLLATE "C",
  finished_at bigint NOT NULL
);
CREATE INDEX finished_mails_end ON finished_mails (finished_at);
CREATE INDEX finished_mails_user ON finished_mails (user_id);
CREATE INDEX finished_mails_request ON finished_mails (requested_at, id);
CREATE INDEX mail_requests_request ON mail_requests (requested_at, id);
