-- name: count_usage_events
SELECT COUNT(*) AS count FROM usage_events WHERE recorded_at <= :as_of;

-- name: count_meter_events_as_of
-- The states at an instant; where a state was changed after it, what it was before follows from attempts.
SELECT state, COUNT(*) AS count, MIN(event_time) AS oldest_event_time FROM (
    SELECT m.event_time, CASE
        WHEN m.state_at <= :as_of THEN m.state
        WHEN m.accepted_recorded_at <= :as_of THEN 'accepted'
        WHEN EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.started_at <= :as_of
                AND (a.finished_at IS NULL OR a.finished_at > :as_of OR a.outcome = 'unknown')
        ) THEN 'sending'
        ELSE 'pending'
    END AS state
    FROM meter_events AS m
    WHERE m.sealed_at <= :as_of AND (m.dissolved_at IS NULL OR m.dissolved_at > :as_of)
        AND (m.retried_at IS NULL OR m.retried_at > :as_of)
) AS known
GROUP BY state
ORDER BY state;

-- name: knows_customer
SELECT 1 FROM customers WHERE customer_id = :customer_id
UNION ALL
SELECT 1 FROM rejects WHERE customer_id = :customer_id
LIMIT 1;

-- name: event_names
SELECT DISTINCT event_name FROM meter_events;

-- name: in_doubt_meter_events
SELECT identifier, event_name, stripe_customer_id, in_doubt_reason, quantity, scale, event_time, state_at
FROM meter_events WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt') AND state = 'in_doubt' ORDER BY id;

-- name: rejected_by_code
SELECT rejection_code AS code, rejection_message AS message, COUNT(*) AS count FROM meter_events
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt') AND state = 'rejected' AND retried_at IS NULL
GROUP BY rejection_code, rejection_message ORDER BY count DESC, code, message;

-- name: accepted_totals
-- What Stripe has taken, by customer and meter.
SELECT event_name, stripe_customer_id, scale, SUM(quantity) AS quantity, COUNT(*) AS events,
    MIN(timestamp) AS first, MAX(timestamp) AS last
FROM meter_events WHERE state IN ('accepted', 'confirmed')
GROUP BY event_name, stripe_customer_id, scale
ORDER BY event_name, stripe_customer_id, scale;

-- name: last_accepted_values
-- For `last` meters: the value with the latest event_time, by customer.
SELECT event_name, stripe_customer_id, quantity, scale FROM meter_events AS m
WHERE state IN ('accepted', 'confirmed') AND NOT EXISTS (
    SELECT 1 FROM meter_events AS later
    WHERE later.stripe_customer_id = m.stripe_customer_id AND later.event_name = m.event_name
        AND later.state IN ('accepted', 'confirmed')
        AND (later.event_time > m.event_time OR (later.event_time = m.event_time AND later.id > m.id))
)
ORDER BY event_name, stripe_customer_id;

-- name: explain_usage_by_request_id
SELECT u.id FROM usage_events AS u WHERE u.request_id = :what ORDER BY u.id;

-- name: explain_usage_by_customer
SELECT u.id FROM usage_events AS u INNER JOIN customers AS c ON c.id = u.customer
WHERE c.customer_id = :what ORDER BY u.event_time DESC, u.id DESC LIMIT :limit;

-- name: explain_usage_by_identifier
SELECT DISTINCT l.usage_event AS id FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id
WHERE m.identifier = :what ORDER BY l.usage_event LIMIT :limit;

-- name: explain_usage_event
SELECT
    u.id, s.name AS source, u.request_id, c.customer_id, u.subscription_id, f.name AS feature, u.quantity,
    u.scale, u.event_time, u.received_at, u.recorded_at, u.import, i.file, u.line, i.sha256, u.dimensions,
    i.path, i.size_bytes, i.input_format, i.compression, i.delimiter
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import
WHERE u.id = :usage_event;

-- name: explain_meter_events
SELECT
    m.id, m.identifier, m.revision, m.event_name, m.stripe_customer_id, m.timestamp, m.payload, m.state,
    m.in_doubt_reason, m.rejection_code, m.rejection_message, m.sealed_at, m.accepted_at, m.accepted_from,
    m.accepted_by, m.dissolved_at, m.retried_at, m.usage_events, r.window_start, r.window_end, l.unlinked_at
FROM meter_event_usage AS l INNER JOIN meter_events AS m ON m.id = l.meter_event
LEFT JOIN rollups AS r ON r.meter_event = m.id
WHERE l.usage_event = :usage_event ORDER BY m.id;

-- name: explain_attempts
SELECT attempt, push, api, idempotency_key, started_at, finished_at, outcome, http_status, code, message,
    stripe_request_id, settled_at
FROM delivery_attempts WHERE meter_event = :meter_event ORDER BY attempt;

-- name: explain_rejects
SELECT r.id, r.kind, s.name AS source, i.file, r.line, r.reason, r.message, r.closed_as
FROM rejects AS r
INNER JOIN imports AS i ON i.id = r.import
INNER JOIN sources AS s ON s.id = r.source
WHERE r.request_id = :what ORDER BY r.id LIMIT :limit;

-- name: explain_resolutions
SELECT settled_as, note, resolved_at FROM resolutions WHERE meter_event = :meter_event ORDER BY id;
