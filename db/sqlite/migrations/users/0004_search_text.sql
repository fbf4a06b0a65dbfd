-- A search looks into one folded text (services/kit/search-text.ts), of which every three characters in a row are indexed.
-- The empty text is that of a row which is still to be folded, and of none after this migration.
ALTER TABLE users ADD COLUMN search_text TEXT NOT NULL DEFAULT '';

DROP TRIGGER users_search_insert;
DROP TRIGGER users_search_delete;
DROP TRIGGER users_search_update;
DROP TABLE users_search;

-- Without positions: the index says which rows can match, and the text of the row whether it does.
CREATE VIRTUAL TABLE users_search USING fts5 (
  search_text, content = 'users', content_rowid = 'seq', tokenize = 'trigram case_sensitive 1', detail = 'none'
);
-- As in 0003: two pieces of one size are enough to be merged.
INSERT INTO users_search (users_search, rank) VALUES ('usermerge', 2);

CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
  INSERT INTO users_search (rowid, search_text) VALUES (new.seq, new.search_text);
END;
CREATE TRIGGER users_search_delete AFTER DELETE ON users BEGIN
  INSERT INTO users_search (users_search, rowid, search_text) VALUES ('delete', old.seq, old.search_text);
END;
CREATE TRIGGER users_search_update AFTER UPDATE OF search_text ON users
WHEN old.search_text <> new.search_text AND old.search_text <> '' BEGIN
  INSERT INTO users_search (users_search, rowid, search_text) VALUES ('delete', old.seq, old.search_text);
  INSERT INTO users_search (rowid, search_text) VALUES (new.seq, new.search_text);
END;
