-- Two pieces of the index of one size are merged into one of twice that (FTS5, 6.9): a search looks into each piece.
INSERT INTO users_search (users_search, rank) VALUES ('usermerge', 2);
