-- Grants of earlier versions of a client have ended: it was disabled since.
ALTER TABLE clients ADD COLUMN grants_from bigint NOT NULL DEFAULT 0;

-- Whether a session is that of an offline grant, whose id it has.
ALTER TABLE sessions ADD COLUMN of_grant bigint NOT NULL DEFAULT 0;

-- The access that users gave clients.
CREATE TABLE grants (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  client_id text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  scopes text COLLATE "C" NOT NULL,
  resource text COLLATE "C",
  offline bigint NOT NULL,
  version bigint NOT NULL,
  client_version bigint NOT NULL,
  created_at bigint NOT NULL,
  last_used_at bigint NOT NULL,
  access_until bigint NOT NULL,
  ends_at bigint NOT NULL
);
CREATE INDEX grants_session ON grants (session_id, client_id);
CREATE INDEX grants_user ON grants (user_id, created_at);
CREATE INDEX grants_client ON grants (client_id, client_version);
CREATE INDEX grants_end ON grants (ends_at);

-- Authorization codes, by SHA-256.
CREATE TABLE authorization_codes (
  hash bytea PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  redirect_uri text COLLATE "C" NOT NULL,
  scopes text COLLATE "C" NOT NULL,
  resource text COLLATE "C",
  nonce text COLLATE "C",
  code_challenge text COLLATE "C",
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  version bigint NOT NULL,
  auth_time bigint NOT NULL,
  amr text COLLATE "C" NOT NULL,
  used_at bigint,
  grant_id text COLLATE "C"
);
CREATE INDEX authorization_codes_expiry ON authorization_codes (expires_at);

-- The scopes that users have allowed clients.
CREATE TABLE consents (
  user_id text COLLATE "C" NOT NULL,
  client_id text COLLATE "C" NOT NULL,
  scopes text COLLATE "C" NOT NULL,
  given_at bigint NOT NULL,
  PRIMARY KEY (user_id, client_id)
);

-- Clients that are still to be told of the end of a session.
CREATE TABLE client_logouts (
  id text COLLATE "C" PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  tries bigint NOT NULL,
  next_at bigint NOT NULL,
  last_error text COLLATE "C"
);
-- One for each client and session: a second end while the first is not acknowledged takes its place.
CREATE UNIQUE INDEX client_logouts_session ON client_logouts (client_id, session_id);
CREATE INDEX client_logouts_next ON client_logouts (client_id, next_at, id);
