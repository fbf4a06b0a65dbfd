-- Auth stores the fields of a user that no login reads as one JSON value.
ALTER TABLE accounts ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
UPDATE accounts SET profile = json_object(
  'name', name,
  'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch'),
  'updated_at', strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch')
);
ALTER TABLE accounts DROP COLUMN name;
ALTER TABLE accounts DROP COLUMN created_at;
ALTER TABLE accounts DROP COLUMN updated_at;
