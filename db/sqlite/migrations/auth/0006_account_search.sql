-- A search of the password cache looks into one folded text (services/kit/search-text.ts).
ALTER TABLE accounts ADD COLUMN search_text TEXT NOT NULL DEFAULT '';
