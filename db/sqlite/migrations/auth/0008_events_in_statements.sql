-- The statements that delete deliveries also delete the events: other databases have no triggers.
DROP TRIGGER deliveries_gone;
