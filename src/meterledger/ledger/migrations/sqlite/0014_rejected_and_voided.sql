-- What Stripe has rejected, of an import that was taken back, can be written off: it is let go of as any other
-- rejected usage is, and stays out of the outbox, so that nothing seals it again.

DROP TRIGGER meter_events_refuse_retry;
CREATE TRIGGER meter_events_refuse_retry BEFORE UPDATE OF retried_at ON meter_events
WHEN NEW.retried_at IS NOT OLD.retried_at AND (
    OLD.retried_at IS NOT NULL OR OLD.state <> 'rejected' OR NEW.state <> 'rejected'
    OR EXISTS (
        SELECT 1 FROM delivery_attempts AS a
        WHERE a.meter_event = OLD.id
            AND (a.outcome IS NULL OR (a.outcome = 'unknown' AND a.settled_at IS NULL))
    )
    OR (
        EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = OLD.id AND a.outcome IN ('accepted', 'duplicate')
        )
        AND NOT EXISTS (SELECT 1 FROM error_report_samples AS s WHERE s.meter_event = OLD.id)
    )
)
BEGIN SELECT RAISE(ABORT, 'only what was certainly rejected lets go of its usage, once'); END;

DROP TRIGGER meter_event_usage_unlinked;
CREATE TRIGGER meter_event_usage_unlinked
AFTER UPDATE OF unlinked_at ON meter_event_usage
WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM meter_events AS m
    INNER JOIN usage_events AS u ON u.id = NEW.usage_event
    INNER JOIN imports AS i ON i.id = u.import
    WHERE m.id = NEW.meter_event AND m.state = 'rejected' AND i.voided_at IS NOT NULL
)
BEGIN
    INSERT INTO unsealed (usage_event, revision)
    SELECT NEW.usage_event, COALESCE(MAX(CASE m.state WHEN 'rejected' THEN m.revision + 1 ELSE m.revision END), 0)
    FROM meter_event_usage AS l INNER JOIN meter_events AS m ON m.id = l.meter_event
    WHERE l.usage_event = NEW.usage_event AND l.unlinked_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = m.id);
END;
