-- Applications that use OAuth.
CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  first_party INTEGER NOT NULL,
  redirect_uris TEXT NOT NULL,
  post_logout_redirect_uris TEXT NOT NULL,
  backchannel_logout_uri TEXT,
  grant_types TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resources TEXT NOT NULL,
  id_token_alg TEXT NOT NULL,
  token_auth_method TEXT NOT NULL,
  jwks_uri TEXT,
  require_pkce INTEGER NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Their secrets, by SHA-256.
CREATE TABLE client_secrets (
  hash BLOB PRIMARY KEY,
  client_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX client_secrets_client ON client_secrets (client_id, created_at);

-- Whether a key may sign access tokens. Before there were clients, each key did.
ALTER TABLE signing_keys ADD COLUMN for_access_tokens INTEGER NOT NULL DEFAULT 1;
