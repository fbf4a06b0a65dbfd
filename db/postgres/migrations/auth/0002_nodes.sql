-- The nodes that run, and the work that one of them at a time does. A node renews its row; one that stopped doing so is
-- removed by the others.
CREATE TABLE nodes (
  name text COLLATE "C" PRIMARY KEY,
  renewals bigint NOT NULL,
  -- What operators see of a node. Nothing is decided by it, and times are those of clocks that may differ.
  process text COLLATE "C" NOT NULL DEFAULT '',
  address text COLLATE "C" NOT NULL DEFAULT '',
  version text COLLATE "C" NOT NULL DEFAULT '',
  since bigint NOT NULL DEFAULT 0,
  renewed_at bigint NOT NULL DEFAULT 0,
  -- What the node's own clock showed when it sent the last renewal, for the difference to `renewed_at`.
  clock bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 25);
CREATE TABLE leases (name text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL);

-- The subscribers of the feed, for the nodes that publish it together. A row changes with each poll.
CREATE TABLE subscribers (
  name text COLLATE "C" PRIMARY KEY,
  acked bigint NOT NULL,
  renewal bigint NOT NULL
) WITH (fillfactor = 50);

-- The node that sends a mail: the one that was asked for it, until it dies.
ALTER TABLE mail_requests ADD COLUMN owner text COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX mail_requests_next;
CREATE INDEX mail_requests_next ON mail_requests (owner, next_at);

-- Logins whose password is being checked, each once for its account and once for its address.
CREATE TABLE login_attempts (
  subject text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  attempt bigint NOT NULL,
  PRIMARY KEY (subject, owner, attempt)
);

-- Recent logins that were refused before the password was checked. Each node has a few places for each client address.
CREATE TABLE refused_logins (
  owner text COLLATE "C" NOT NULL,
  address text COLLATE "C" NOT NULL,
  place bigint NOT NULL,
  number bigint NOT NULL,
  at bigint NOT NULL,
  code text COLLATE "C" NOT NULL,
  locked_by text COLLATE "C",
  locked_until bigint,
  key text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  ip text COLLATE "C",
  request_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (owner, address, place)
);
