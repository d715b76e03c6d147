-- Error reports: what Stripe said later of meter events that it had taken, and rejected usage sealed again.

-- One event of /v2/core/events; it is kept for good, so that it is taken in once.
CREATE TABLE error_reports (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE CHECK (length(event_id) BETWEEN 1 AND 255),
    type TEXT NOT NULL,
    -- By Stripe's clock, as are the ends of the window.
    created INTEGER NOT NULL,
    meter_id TEXT,
    -- NULL where it is not known whose report it is.
    event_name TEXT,
    validation_start INTEGER,
    validation_end INTEGER,
    recorded_at INTEGER NOT NULL,
    CHECK (validation_start <= validation_end)
) STRICT;

CREATE INDEX error_reports_by_created ON error_reports (created);

-- How often each error occurred in the report's window, and how many of those it names.
CREATE TABLE error_report_codes (
    report INTEGER NOT NULL REFERENCES error_reports (id),
    code TEXT NOT NULL,
    error_count INTEGER NOT NULL CHECK (error_count >= 0),
    PRIMARY KEY (report, code)
) STRICT;

-- The meter events that a report names; meter_event is NULL for one that this ledger does not have.
CREATE TABLE error_report_samples (
    id INTEGER PRIMARY KEY,
    report INTEGER NOT NULL REFERENCES error_reports (id),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    meter_event INTEGER REFERENCES meter_events (id)
) STRICT;

CREATE INDEX error_report_samples_by_report ON error_report_samples (report, code);
CREATE INDEX error_report_samples_by_meter_event ON error_report_samples (meter_event)
WHERE meter_event IS NOT NULL;

-- How far the events were read: all that were created up to read_up_to, but for what stands in between while
-- a reading is not complete: it goes on before resume_before, and then everything up to newest was read.
CREATE TABLE error_report_reading (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    read_up_to INTEGER,
    resume_before INTEGER,
    newest INTEGER,
    CHECK ((resume_before IS NULL) = (newest IS NULL))
) STRICT;

INSERT INTO error_report_reading (id) VALUES (1);

CREATE TRIGGER error_reports_refuse_update BEFORE UPDATE ON error_reports
BEGIN SELECT RAISE(ABORT, 'what a report said never changes'); END;

CREATE TRIGGER error_reports_refuse_delete BEFORE DELETE ON error_reports
BEGIN SELECT RAISE(ABORT, 'reports are never deleted'); END;

CREATE TRIGGER error_report_samples_refuse_update BEFORE UPDATE ON error_report_samples
BEGIN SELECT RAISE(ABORT, 'what a report said never changes'); END;

CREATE TRIGGER error_report_samples_refuse_delete BEFORE DELETE ON error_report_samples
BEGIN SELECT RAISE(ABORT, 'reports are never deleted'); END;

-- The first attempt goes under the identifier, which has an index: only later keys need one.
CREATE INDEX delivery_attempts_by_later_key ON delivery_attempts (idempotency_key) WHERE attempt > 1;

-- When a person had the usage of a rejected meter event sealed again, under the next revision.
ALTER TABLE meter_events ADD COLUMN retried_at INTEGER CHECK (retried_at IS NULL OR state = 'rejected');

-- The revision that unsealed usage is sealed under.
ALTER TABLE unsealed ADD COLUMN revision INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0);

-- Few usage events have a history.
CREATE INDEX meter_event_usage_ended ON meter_event_usage (usage_event) WHERE unlinked_at IS NOT NULL;

-- Only what Stripe certainly does not count, and nothing of an import that was taken back.
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
    OR EXISTS (
        SELECT 1 FROM meter_event_usage AS l
        INNER JOIN usage_events AS u ON u.id = l.usage_event
        INNER JOIN imports AS i ON i.id = u.import
        WHERE l.meter_event = OLD.id AND l.unlinked_at IS NULL AND i.voided_at IS NOT NULL
    )
)
BEGIN SELECT RAISE(ABORT, 'only what was certainly rejected is sealed again, once'); END;

DROP TRIGGER meter_event_usage_refuse_letting_go;
CREATE TRIGGER meter_event_usage_refuse_letting_go
BEFORE UPDATE OF unlinked_at ON meter_event_usage
WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM meter_events AS m
    WHERE m.id = OLD.meter_event
        AND (m.state = 'canceled' OR (m.state = 'rejected' AND m.retried_at IS NOT NULL))
)
BEGIN SELECT RAISE(ABORT, 'only a canceled meter event, or a retried one, lets go of its usage'); END;

-- Sealed again as it was after a claim was taken back, and under the next revision after a rejection.
DROP TRIGGER meter_event_usage_unlinked;
CREATE TRIGGER meter_event_usage_unlinked
AFTER UPDATE OF unlinked_at ON meter_event_usage WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL
BEGIN
    INSERT INTO unsealed (usage_event, revision)
    SELECT NEW.usage_event, CASE m.state WHEN 'rejected' THEN m.revision + 1 ELSE m.revision END
    FROM meter_events AS m WHERE m.id = NEW.meter_event;
END;
