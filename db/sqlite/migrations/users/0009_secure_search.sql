-- A text that was removed leaves nothing in the index, not even until its parts are merged (FTS5, `secure-delete`).
INSERT INTO users_search (users_search, rank) VALUES ('secure-delete', 1);
