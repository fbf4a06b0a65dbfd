ALTER TABLE reset_requests RENAME TO mail_requests;
ALTER TABLE mail_requests ADD COLUMN kind TEXT NOT NULL DEFAULT 'password_reset' CHECK (kind IN ('password_reset', 'email_changed'));
ALTER TABLE mail_requests ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mail_requests ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX mail_requests_next ON mail_requests (next_at);
