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

-- The node that delivers a notice: the one that wrote it, until it dies.
ALTER TABLE outbox ADD COLUMN owner text COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX outbox_target;
DROP INDEX outbox_subject;
CREATE INDEX outbox_target ON outbox (target, owner, seq);
CREATE INDEX outbox_subject ON outbox (target, subject, seq);
