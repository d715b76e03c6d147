-- name: usage_with_delivery
-- Every usage event with what was known of its delivery at an instant: nothing recorded after it counts.
SELECT
    u.id, s.name AS source, c.customer_id, u.subscription_id, f.name AS feature, u.quantity, u.scale,
    u.event_time, u.received_at, u.recorded_at, i.backfill, i.first_of_source,
    m.event_name, m.accepted_from, m.accepted_by,
    CASE
        WHEN x.closed_at <= :as_of THEN x.state
        WHEN x.already_billed_at <= :as_of THEN 'already_billed'
        WHEN m.id IS NULL THEN 'unsealed'
        WHEN m.accepted_recorded_at <= :as_of AND NOT (m.state IN ('rejected', 'in_doubt', 'canceled') AND m.state_at <= :as_of)
            THEN 'accepted'
        WHEN m.state_at <= :as_of AND m.state IN ('rejected', 'in_doubt') THEN m.state
        WHEN EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.started_at <= :as_of
                AND (
                    a.finished_at IS NULL OR a.finished_at > :as_of
                    OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of))
                )
        ) THEN 'sending'
        ELSE 'pending'
    END AS state
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import
LEFT JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.linked_at <= :as_of
    AND (l.unlinked_at IS NULL OR l.unlinked_at > :as_of)
LEFT JOIN meter_events AS m ON m.id = l.meter_event
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
WHERE u.recorded_at <= :as_of
ORDER BY u.id;

-- name: oldest_unknown_attempt
-- How long the oldest unknown outcome has been unknown: after 23 h it can no longer be sent again.
SELECT MIN(a.started_at) AS started_at FROM delivery_attempts AS a
INNER JOIN meter_events AS m ON m.id = a.meter_event
WHERE a.started_at <= :as_of AND (a.finished_at IS NULL OR a.finished_at > :as_of
    OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of)))
    AND (m.state = 'sending' OR m.state_at > :as_of);
