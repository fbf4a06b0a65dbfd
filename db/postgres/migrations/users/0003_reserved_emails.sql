-- Emails that were verified before they were changed. While the change can be undone, nobody else can take them.
CREATE TABLE reserved_emails (
  email_key text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL,
  until bigint NOT NULL
);
CREATE INDEX reserved_emails_user ON reserved_emails (user_id);
CREATE INDEX reserved_emails_until ON reserved_emails (until);
