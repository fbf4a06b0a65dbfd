-- The feed of the modules: every change of what a gate decides by has a number, and they rise. Whatever the change comes
-- from, a trigger numbers it.

-- One row. The epoch names this database to its followers; it is made when the database is first served.
CREATE TABLE feed (epoch TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;

-- When a module last changed. It outlives the module; what was told of a module before `begun` is void.
CREATE TABLE module_changes (
  module_id TEXT PRIMARY KEY,
  begun INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When what is chosen for a user last changed. It outlives the choice, so that it is told that there is none any more.
CREATE TABLE choice_changes (
  module_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (module_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX choice_changes_by_seq ON choice_changes (module_id, seq);

INSERT INTO choice_changes
SELECT module_id, user_id, row_number() OVER (ORDER BY module_id, user_id) FROM choices;
INSERT INTO feed SELECT '', count(*) FROM choices;

CREATE TRIGGER choices_made AFTER INSERT ON choices BEGIN
  UPDATE feed SET seq = seq + 1;
  INSERT INTO choice_changes SELECT NEW.module_id, NEW.user_id, seq FROM feed WHERE true
    ON CONFLICT (module_id, user_id) DO UPDATE SET seq = excluded.seq;
END;
CREATE TRIGGER choices_changed AFTER UPDATE ON choices WHEN NEW.enabled <> OLD.enabled BEGIN
  UPDATE feed SET seq = seq + 1;
  UPDATE choice_changes SET seq = (SELECT seq FROM feed) WHERE module_id = NEW.module_id AND user_id = NEW.user_id;
END;
CREATE TRIGGER choices_gone AFTER DELETE ON choices BEGIN
  UPDATE feed SET seq = seq + 1;
  UPDATE choice_changes SET seq = (SELECT seq FROM feed) WHERE module_id = OLD.module_id AND user_id = OLD.user_id;
END;

CREATE TRIGGER modules_made AFTER INSERT ON modules BEGIN
  UPDATE feed SET seq = seq + 1;
  INSERT INTO module_changes SELECT NEW.id, seq, seq FROM feed WHERE true
    ON CONFLICT (module_id) DO UPDATE SET begun = excluded.begun, seq = excluded.seq;
END;
CREATE TRIGGER modules_changed AFTER UPDATE ON modules
WHEN NEW.default_enabled <> OLD.default_enabled OR NEW.required_roles <> OLD.required_roles BEGIN
  UPDATE feed SET seq = seq + 1;
  INSERT INTO module_changes SELECT NEW.id, 0, seq FROM feed WHERE true
    ON CONFLICT (module_id) DO UPDATE SET seq = excluded.seq;
END;
-- The choices have gone with it, and this comes after them.
CREATE TRIGGER modules_gone AFTER DELETE ON modules BEGIN
  UPDATE feed SET seq = seq + 1;
  DELETE FROM choice_changes WHERE module_id = OLD.id;
  INSERT INTO module_changes SELECT OLD.id, seq, seq FROM feed WHERE true
    ON CONFLICT (module_id) DO UPDATE SET begun = excluded.begun, seq = excluded.seq;
END;
