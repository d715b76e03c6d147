-- What was dissolved gives its identifier free, not the Idempotency-Keys that it was sent under: who takes the
-- identifier up again looks here.
CREATE INDEX meter_events_dissolved ON meter_events (identifier) WHERE dissolved_at IS NOT NULL;
