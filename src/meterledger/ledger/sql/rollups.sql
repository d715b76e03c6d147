-- name: usage_to_roll_up
-- All that waits to be sealed, as grouping and totals need it: numbers instead of names, and no join for them.
SELECT u.id, u.customer, u.subscription_id, u.feature, u.quantity, u.scale, u.event_time, u.dimensions,
    u.import
FROM unsealed AS q
INNER JOIN usage_events AS u ON u.id = q.usage_event
WHERE u.event_time >= :since
ORDER BY q.usage_event;

-- name: usage_to_roll_up_as_of
-- The same from the history of links, for a question about the past.
SELECT u.id, u.customer, u.subscription_id, u.feature, u.quantity, u.scale, u.event_time, u.dimensions,
    u.import
FROM usage_events AS u
WHERE u.event_time >= :since AND u.recorded_at <= :as_of AND NOT EXISTS (
    SELECT 1 FROM meter_event_usage AS l
    WHERE l.usage_event = u.id AND l.linked_at <= :as_of
        AND (l.unlinked_at IS NULL OR l.unlinked_at > :as_of)
) AND NOT EXISTS (
    SELECT 1 FROM usage_closures AS x
    WHERE x.usage_event = u.id AND (x.closed_at <= :as_of OR x.already_billed_at <= :as_of)
)
ORDER BY u.id;

-- name: usage_carried_to_roll_up
-- The same of what a meter event carries that is to be sealed anew.
SELECT u.id, u.customer, u.subscription_id, u.feature, u.quantity, u.scale, u.event_time, u.dimensions,
    u.import
FROM meter_event_usage AS l
INNER JOIN usage_events AS u ON u.id = l.usage_event
WHERE l.meter_event = :meter_event AND l.unlinked_at IS NULL AND u.event_time >= :since
ORDER BY u.id;

-- name: imports_that_keep_identifiers
SELECT id FROM imports WHERE keeps_identifier = 1 ORDER BY id;

-- name: usage_event_to_seal
-- With the revision that it would be sealed under one to one.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier,
    COALESCE(
        q.revision,
        (
            SELECT MAX(CASE m.state WHEN 'rejected' THEN m.revision + 1 ELSE m.revision END)
            FROM meter_event_usage AS l INNER JOIN meter_events AS m ON m.id = l.meter_event
            WHERE l.usage_event = u.id
                AND NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = m.id)
        ),
        0
    ) AS revision
FROM usage_to_seal AS u LEFT JOIN unsealed AS q ON q.usage_event = u.id
WHERE u.id = :usage_event;

-- name: customer_by_number
SELECT customer_id FROM customers WHERE id = :customer;

-- name: numbered_features
SELECT id, name FROM features ORDER BY id;

-- name: rolled_up_before
-- The meter events of a window that were sealed by an instant; they are stamped within the longest window.
-- Of those taken back, Stripe may have kept an answer under the identifier of the ones that it answered.
SELECT m.id, m.revision,
    CASE WHEN m.dissolved_at IS NOT NULL AND m.dissolved_at <= :as_of THEN 1 ELSE 0 END AS taken_back,
    CASE WHEN EXISTS (
        SELECT 1 FROM delivery_attempts AS a
        WHERE a.meter_event = m.id AND (a.answered = 1 OR a.outcome = 'unknown')
    ) THEN 1 ELSE 0 END AS answered
FROM meter_events AS m
INNER JOIN rollups AS r ON r.meter_event = m.id
WHERE m.stripe_customer_id = :stripe_customer_id AND m.event_name = :event_name
    AND m.event_time >= :window_start AND m.event_time < :longest_end
    AND r.window_start = :window_start AND r.dimensions = :dimensions AND m.sealed_at <= :as_of
ORDER BY m.id;

-- name: add_rollup
INSERT INTO rollups (meter_event, window_start, window_end, dimensions, part)
VALUES (:meter_event, :window_start, :window_end, :dimensions, :part);
