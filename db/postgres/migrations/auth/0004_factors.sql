-- Second factors that were added before this version of the user are void.
ALTER TABLE accounts ADD COLUMN factors_from bigint NOT NULL DEFAULT 0;

-- Apps that show codes (TOTP). The secrets are sealed.
CREATE TABLE totps (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  sealed_secret bytea NOT NULL,
  algorithm text COLLATE "C" NOT NULL,
  digits bigint NOT NULL,
  period bigint NOT NULL,
  created_at bigint NOT NULL,
  confirmed_at bigint,
  expires_at bigint NOT NULL,
  last_used_at bigint,
  last_step bigint NOT NULL
);
CREATE INDEX totps_user ON totps (user_id);
CREATE INDEX totps_expiry ON totps (expires_at) WHERE confirmed_at IS NULL;

CREATE TABLE passkeys (
  id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  credential_id bytea NOT NULL UNIQUE,
  public_key bytea NOT NULL,
  algorithm bigint NOT NULL,
  counter bigint NOT NULL,
  transports text COLLATE "C" NOT NULL,
  aaguid text COLLATE "C" NOT NULL,
  backup_eligible bigint NOT NULL,
  backed_up bigint NOT NULL,
  created_at bigint NOT NULL,
  last_used_at bigint
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- Recovery codes that were not used yet, by SHA-256.
CREATE TABLE recovery_codes (
  hash bytea PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

-- Challenges that passkeys have answered, until they would have expired.
CREATE TABLE used_challenges (
  hash bytea PRIMARY KEY,
  expires_at bigint NOT NULL
);
CREATE INDEX used_challenges_expiry ON used_challenges (expires_at);
