-- Ids are never given twice: the other services go by that once they were told that a user is gone.
CREATE TABLE deleted_ids (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
