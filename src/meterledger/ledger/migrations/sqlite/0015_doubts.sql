-- Since when and until when a meter event was in doubt, for questions about the past: its row has only the
-- state of today.
CREATE TABLE doubts (
    id INTEGER PRIMARY KEY,
    meter_event INTEGER NOT NULL REFERENCES meter_events (id),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE INDEX doubts_by_end ON doubts (until);

CREATE TRIGGER meter_events_note_doubt AFTER UPDATE OF state ON meter_events
WHEN OLD.state = 'in_doubt' AND NEW.state <> 'in_doubt'
BEGIN INSERT INTO doubts (meter_event, since, until) VALUES (OLD.id, OLD.state_at, NEW.state_at); END;

CREATE TRIGGER doubts_refuse_update BEFORE UPDATE ON doubts
BEGIN SELECT RAISE(ABORT, 'what was in doubt stays in the past'); END;

CREATE TRIGGER doubts_refuse_delete BEFORE DELETE ON doubts
BEGIN SELECT RAISE(ABORT, 'what was in doubt stays in the past'); END;
