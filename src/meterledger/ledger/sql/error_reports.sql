-- name: error_report_reading
SELECT read_up_to, resume_before, newest FROM error_report_reading;

-- name: note_error_report_reading
UPDATE error_report_reading SET read_up_to = :read_up_to, resume_before = :resume_before, newest = :newest;

-- name: add_error_report
-- Nothing comes back where it was taken in before.
INSERT INTO error_reports (
    event_id, type, created, meter_id, event_name, validation_start, validation_end, recorded_at
) VALUES (
    :event_id, :type, :created, :meter_id, :event_name, :validation_start, :validation_end, :recorded_at
) ON CONFLICT (event_id) DO NOTHING
RETURNING id;

-- name: has_error_report
SELECT 1 FROM error_reports WHERE event_id = :event_id;

-- name: add_error_report_code
INSERT INTO error_report_codes (report, code, error_count) VALUES (:report, :code, :error_count);

-- name: add_error_report_sample
INSERT INTO error_report_samples (report, code, name, message, meter_event)
VALUES (:report, :code, :name, :message, :meter_event);

-- name: meter_events_named
-- By identifier, or by an idempotency key of any attempt. The key of the first is the identifier, or that and a
-- number where the identifier went before and was dissolved: the stem is what stands before the number.
SELECT m.id, m.identifier, m.event_name FROM meter_events AS m
WHERE m.identifier = :name AND m.dissolved_at IS NULL
UNION
SELECT m.id, m.identifier, m.event_name FROM delivery_attempts AS a
INNER JOIN meter_events AS m ON m.id = a.meter_event
WHERE a.idempotency_key = :name AND a.attempt > 1 AND m.dissolved_at IS NULL
UNION
SELECT m.id, m.identifier, m.event_name FROM meter_events AS m
INNER JOIN delivery_attempts AS a ON a.meter_event = m.id AND a.attempt = 1
WHERE m.identifier = :stem AND m.dissolved_at IS NULL AND a.idempotency_key = :name
ORDER BY id;

-- name: state_of_meter_event
SELECT state, attempts FROM meter_events WHERE id = :meter_event;

-- name: set_state_by_report
-- What is known of its acceptance stays, for questions about the past.
UPDATE meter_events SET
    state = :state, state_at = :now, in_doubt_reason = :in_doubt_reason, rejection_code = :rejection_code,
    rejection_message = :rejection_message
WHERE id = :meter_event AND state = :was AND attempts = :attempts AND NOT EXISTS (
    SELECT 1 FROM delivery_attempts AS a WHERE a.meter_event = meter_events.id AND a.outcome IS NULL
);

-- name: error_reports_since
-- What was reported, by report and code; unnamed is what it counts and does not name.
SELECT r.event_id, r.event_name, c.code, r.validation_start, r.validation_end, c.error_count,
    COUNT(s.meter_event) AS ours, COUNT(s.id) - COUNT(s.meter_event) AS not_ours,
    CASE WHEN c.error_count > COUNT(s.id) THEN c.error_count - COUNT(s.id) ELSE 0 END AS unnamed
FROM error_reports AS r
INNER JOIN error_report_codes AS c ON c.report = r.id
LEFT JOIN error_report_samples AS s ON s.report = c.report AND s.code = c.code
WHERE r.created >= :since
GROUP BY r.id, r.event_id, r.event_name, c.code, r.validation_start, r.validation_end, r.created, c.error_count
ORDER BY r.created DESC, r.id DESC, c.code
LIMIT :limit;

-- name: count_unknown_rejected
-- What reports recorded by an instant count and do not name, of windows that ended at or after another one.
SELECT COALESCE(SUM(known.unnamed), 0) AS events, COUNT(DISTINCT known.report) AS reports FROM (
    SELECT c.report, c.error_count - COUNT(s.id) AS unnamed
    FROM error_reports AS r
    INNER JOIN error_report_codes AS c ON c.report = r.id
    LEFT JOIN error_report_samples AS s ON s.report = c.report AND s.code = c.code
    WHERE r.created >= :since AND r.recorded_at <= :as_of
    GROUP BY c.report, c.code, c.error_count
    HAVING c.error_count > COUNT(s.id)
) AS known;

-- name: error_reports_of_meter_event
SELECT r.event_id, r.type, s.code, s.message, r.validation_start, r.validation_end, r.created, r.recorded_at,
    c.error_count
FROM error_report_samples AS s
INNER JOIN error_reports AS r ON r.id = s.report
INNER JOIN error_report_codes AS c ON c.report = s.report AND c.code = s.code
WHERE s.meter_event = :meter_event
ORDER BY r.created, s.id;

-- name: retry_rejected
-- Let go of by a person's word: what is certainly rejected, and not of an import that was taken back.
UPDATE meter_events SET retried_at = :now
-- The first condition adds nothing but the index of what is unsettled, here and below.
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt') AND state = 'rejected' AND retried_at IS NULL
    AND (:every_code = 1 OR rejection_code = :code)
    AND NOT EXISTS (
        SELECT 1 FROM meter_event_usage AS l
        INNER JOIN usage_events AS u ON u.id = l.usage_event
        INNER JOIN imports AS i ON i.id = u.import
        WHERE l.meter_event = meter_events.id AND l.unlinked_at IS NULL AND i.voided_at IS NOT NULL
    );

-- name: unlink_retried
UPDATE meter_event_usage SET unlinked_at = CASE WHEN :now < linked_at THEN linked_at ELSE :now END
WHERE unlinked_at IS NULL AND meter_event IN (
    SELECT m.id FROM meter_events AS m
    WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'rejected'
        AND m.retried_at = :now
);

-- name: carriers_of_rejected
SELECT l.usage_event, m.id FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'rejected'
ORDER BY l.usage_event;

-- name: let_go_of_rejected
UPDATE meter_events SET retried_at = :now WHERE id = :meter_event AND state = 'rejected' AND retried_at IS NULL;

-- name: count_rejected_of_voided
SELECT COUNT(DISTINCT m.id) AS count
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN imports AS i ON i.id = u.import
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'rejected'
    AND (:every_code = 1 OR m.rejection_code = :code) AND i.voided_at IS NOT NULL;

-- name: usage_of_rejected
-- What a retry would seal again, under the revision that it would get one to one, by event_time; or all of it,
-- also of imports that were taken back, which a retry leaves alone.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier,
    COALESCE((
        SELECT MAX(CASE e.state WHEN 'rejected' THEN e.revision + 1 ELSE e.revision END)
        FROM meter_event_usage AS h INNER JOIN meter_events AS e ON e.id = h.meter_event
        WHERE h.usage_event = u.id AND NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = e.id)
    ), 0) AS revision
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_to_seal AS u ON u.id = l.usage_event
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'rejected'
    AND (:every_code = 1 OR m.rejection_code = :code)
    AND (:with_voided = 1 OR NOT EXISTS (
        SELECT 1 FROM meter_event_usage AS other
        INNER JOIN usage_events AS v ON v.id = other.usage_event
        INNER JOIN imports AS i ON i.id = v.import
        WHERE other.meter_event = m.id AND other.unlinked_at IS NULL AND i.voided_at IS NOT NULL
    ))
ORDER BY u.event_time, u.id;
