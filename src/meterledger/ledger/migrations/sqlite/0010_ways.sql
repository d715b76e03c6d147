-- The way that each attempt took. A run takes the way it was told, but for meter events that may have
-- reached Stripe by another: so it is the attempt's, not the run's.
ALTER TABLE delivery_attempts ADD COLUMN api TEXT NOT NULL DEFAULT 'v1' CHECK (api IN ('v1', 'v2', 'stream'));

-- Nobody documents that the ways share their identifiers: what may have gone in by one would count again
-- by another.
CREATE TRIGGER delivery_attempts_keep_the_way BEFORE INSERT ON delivery_attempts
WHEN NEW.attempt > 1 AND EXISTS (
    SELECT 1 FROM delivery_attempts AS earlier
    WHERE earlier.meter_event = NEW.meter_event AND earlier.api <> NEW.api
        AND (earlier.outcome IS NULL OR earlier.outcome <> 'not_sent')
)
BEGIN SELECT RAISE(ABORT, 'what may have gone one way never goes another'); END;

CREATE TRIGGER delivery_attempts_refuse_change_of_way BEFORE UPDATE OF api ON delivery_attempts
WHEN NEW.api IS NOT OLD.api
BEGIN SELECT RAISE(ABORT, 'the beginning of an attempt never changes'); END;

-- The host of the stream, bound as the API's is, by the first push that takes that way.
ALTER TABLE binding ADD COLUMN meter_events_host TEXT;
