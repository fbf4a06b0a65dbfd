ALTER TABLE mail_requests ADD COLUMN link_at INTEGER;
ALTER TABLE mail_requests ADD COLUMN last_error TEXT;
ALTER TABLE password_resets ADD COLUMN mail_id TEXT;
ALTER TABLE password_resets ADD COLUMN requested_at INTEGER NOT NULL DEFAULT 0;
