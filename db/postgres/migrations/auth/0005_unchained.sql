-- Rows of the audit as transactions write them. One node at a time moves them to the end of the chain, the table `audit`:
-- transactions that chained their own rows would wait for one another on all nodes.
CREATE TABLE unchained_audit (
  -- Orders rows that are chained together: a transaction that began after another had committed has higher numbers. No
  -- reader continues after a number, because a transaction with lower ones may commit later.
  place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  actor text COLLATE "C" NOT NULL,
  ip text COLLATE "C",
  request_id text COLLATE "C",
  detail text COLLATE "C" NOT NULL,
  -- When it was written, by the clock of the database, for operators. Nothing is decided by it.
  written_at bigint NOT NULL DEFAULT CAST(date_part('epoch', clock_timestamp()) * 1000 AS bigint)
);
