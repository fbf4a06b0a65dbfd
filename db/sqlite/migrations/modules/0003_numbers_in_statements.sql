-- The statements that change modules and choices number the changes themselves: other databases have no triggers.
DROP TRIGGER choices_made;
DROP TRIGGER choices_changed;
DROP TRIGGER choices_gone;
DROP TRIGGER modules_made;
DROP TRIGGER modules_changed;
DROP TRIGGER modules_gone;
