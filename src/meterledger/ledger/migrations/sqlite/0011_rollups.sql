-- Meter events that carry the usage of a window: which window, which dimensions, and which part of it.

CREATE TABLE rollups (
    meter_event INTEGER PRIMARY KEY REFERENCES meter_events (id),
    -- Cut off at the customer's period boundaries.
    window_start INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    -- A flat JSON object in key order, of what is sent.
    dimensions TEXT NOT NULL,
    -- Counts from 0: a sum of more digits than Stripe takes is split.
    part INTEGER NOT NULL CHECK (part >= 0),
    CHECK (window_start < window_end)
) STRICT;

CREATE TRIGGER rollups_refuse_update BEFORE UPDATE ON rollups
BEGIN SELECT RAISE(ABORT, 'the window of a meter event never changes'); END;

CREATE TRIGGER rollups_refuse_delete BEFORE DELETE ON rollups
BEGIN SELECT RAISE(ABORT, 'the window of a meter event never changes'); END;

CREATE TRIGGER rollups_refuse_replace BEFORE INSERT ON rollups
WHEN EXISTS (SELECT 1 FROM rollups WHERE meter_event = NEW.meter_event)
BEGIN SELECT RAISE(ABORT, 'the window of a meter event never changes'); END;

-- The stamp is the latest event_time that it carries, so it lies in the window.
CREATE TRIGGER rollups_refuse_other_window BEFORE INSERT ON rollups
WHEN NOT EXISTS (
    SELECT 1 FROM meter_events AS m
    WHERE m.id = NEW.meter_event AND m.event_time >= NEW.window_start AND m.event_time < NEW.window_end
)
BEGIN SELECT RAISE(ABORT, 'a rolled-up meter event is stamped within its window'); END;

-- The revision of a roll-up is that of its window: usage that it lets go of is sealed one to one under the
-- revision that its own history gives.
DROP TRIGGER meter_event_usage_unlinked;
CREATE TRIGGER meter_event_usage_unlinked
AFTER UPDATE OF unlinked_at ON meter_event_usage WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL
BEGIN
    INSERT INTO unsealed (usage_event, revision)
    SELECT NEW.usage_event, COALESCE(MAX(CASE m.state WHEN 'rejected' THEN m.revision + 1 ELSE m.revision END), 0)
    FROM meter_event_usage AS l INNER JOIN meter_events AS m ON m.id = l.meter_event
    WHERE l.usage_event = NEW.usage_event AND l.unlinked_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = m.id);
END;
