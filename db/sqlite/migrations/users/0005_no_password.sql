-- Users without a password: their password_hash is `!`. Who has none is listed without reading everyone else.
CREATE INDEX users_without_password ON users (seq) WHERE password_hash = '!';
