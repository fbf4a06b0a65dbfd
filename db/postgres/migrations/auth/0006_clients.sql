-- Applications that use OAuth.
CREATE TABLE clients (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  kind text COLLATE "C" NOT NULL,
  first_party bigint NOT NULL,
  redirect_uris text COLLATE "C" NOT NULL,
  post_logout_redirect_uris text COLLATE "C" NOT NULL,
  backchannel_logout_uri text COLLATE "C",
  grant_types text COLLATE "C" NOT NULL,
  scopes text COLLATE "C" NOT NULL,
  resources text COLLATE "C" NOT NULL,
  id_token_alg text COLLATE "C" NOT NULL,
  token_auth_method text COLLATE "C" NOT NULL,
  jwks_uri text COLLATE "C",
  require_pkce bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  version bigint NOT NULL
);

-- Their secrets, by SHA-256.
CREATE TABLE client_secrets (
  hash bytea PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL
);
CREATE INDEX client_secrets_client ON client_secrets (client_id, created_at);

-- Whether a key may sign access tokens. Before there were clients, each key did.
ALTER TABLE signing_keys ADD COLUMN for_access_tokens bigint NOT NULL DEFAULT 1;
