-- Two pieces of the index that are of one size will do to be merged (FTS5, `usermerge`): a search looks into each.
INSERT INTO users_search (users_search, rank) VALUES ('usermerge', 2);
