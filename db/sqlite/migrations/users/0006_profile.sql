-- The profile (services/kit/schema/user.ts), one column for each field; JSON objects are stored as text.
ALTER TABLE users ADD COLUMN locale TEXT;
ALTER TABLE users ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN app_metadata TEXT NOT NULL DEFAULT '{}';
